"""Predict labels, entities or next words for a stream of rows: one answer per row, in order, in bounded memory."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmcli.data.batches import batching
from lstmcli.data.batches.encoded import Store, encode
from lstmcli.data.batches.ragged import Ints
from lstmcli.data.batches.unknown_words import Tally, counts, tally
from lstmcli.data.text import sentences as words
from lstmcli.data.text.vocabulary import END
from lstmcli.events import Listener, silent
from lstmcli.inference import engines
from lstmcli.inference.decisions import AS_TRAINED, DecisionOptions, Decisions
from lstmcli.storage.checkpoint import Checkpoint
from lstmcli.storage.sinks import Answer
from lstmcli.storage.text_io import Question
from lstmcli.types import Example

if TYPE_CHECKING:
    from lstmcli.inference.explain import Explainer

Array = np.ndarray[Any, np.dtype[Any]]
NEXT = 5  # next words in an answer
EXPLAINED = 512  # texts that are explained together


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer to one row.

    answer: row and text, and the task's: label, probability, probabilities; or entities; or perplexity, words, next.
    With ``--keep`` also kept, with ``--sets`` set, with ``--in-scope`` in_scope, with ``--explain`` contributions,
    base_value and cut. If the row cannot be used, also problem, and the others are empty.
    """

    answer: Answer
    truncated: bool
    unknown: Tally  # of the words of the text


class Predictions:
    """A checkpoint loaded for prediction. Raises ConfigError if the model has no trained head, or as ``Decisions``."""

    def __init__(
        self, checkpoint: Checkpoint, decisions: DecisionOptions = AS_TRAINED, listener: Listener = silent
    ) -> None:
        checkpoint.check_head()
        self._decisions = Decisions(checkpoint, decisions)
        self._checkpoint = checkpoint
        self._engine = engines.chosen(checkpoint, listener=listener)
        self._task, self._vocabulary = self._decisions.task, self._engine.vocabulary

    @property
    def blank(self) -> Answer:
        """The answer to a row that cannot be used, without the row's number and reason."""
        return {"text": "", **self._task.blank(self._vocabulary.labels), **self._decisions.blank}

    @property
    def thresholds(self) -> Array:
        """The probability from which each label is given, ``[label]``; empty where a text has one label."""
        return np.asarray(getattr(self._task, "decision", ()))

    def of(self, windows: Iterable[list[Question]], *, explained: bool = False) -> Iterator[Prediction]:
        """Yield one prediction per row, in order.

        windows: rows to be predicted together; explained: with the contributions of the words, which a model that
        labels whole texts has.
        """
        predict = self._entities if self._task.READS == "words" else partial(self._labels, explained=explained)
        blank = self.blank
        if explained:
            from lstmcli.inference import explain

            blank |= explain.BLANK
            windows = (rows[at : at + EXPLAINED] for rows in windows for at in range(0, len(rows), EXPLAINED))
        for window in windows:
            questions = [question for question in window if not question.problem]
            answered = predict(questions) if questions else iter(())
            for question in window:
                found = Prediction(blank, False, Tally()) if question.problem else next(answered)
                answer: Answer = {"row": question.number, **found.answer}
                answer |= {} if question.kept is None else {"kept": question.kept}
                answer |= {"problem": question.problem} if question.problem else {}
                yield replace(found, answer=answer)

    def _entities(self, questions: list[Question]) -> Iterator[Prediction]:
        """Yield entities with their character offsets in the text. Each sentence is tagged independently.

        If the input is pretokenized, its words are kept, and the answer has their tags.
        """
        texts = [question.text for question in questions]
        sentences = [words.laid_out(one.words) if one.words else words.sentences(one.text) for one in questions]
        examples = [
            Example(tuple(words.plain(text[begin:end]) for begin, end in sentence))
            for text, parts in zip(texts, sentences, strict=True)
            for sentence in parts
        ]
        described, unknown = self._described(examples) if examples else ([], np.zeros((0, 2), int))
        start = 0
        for question, text, parts in zip(questions, texts, sentences, strict=True):
            of_text = slice(start, start + len(parts))
            entities = [
                _in_text(entity, sentence, text)
                for sentence, found in zip(parts, described[of_text], strict=True)
                for entity in found["entities"]
            ]
            answer: Answer = {"text": text, "entities": entities}
            if question.words:
                answer |= {"tokens": list(question.words), "tags": words.tags(chain.from_iterable(parts), entities)}
            yield Prediction(answer, truncated=False, unknown=tally(unknown[of_text].sum(axis=0, keepdims=True)))
            start = of_text.stop

    def _described(self, examples: list[Example]) -> tuple[list[dict[str, Any]], Ints]:
        """Return the task's answer to each text, and the counts of its words and unknown words."""
        store = encode(self._vocabulary, examples, cache=None, labelled=False)
        tagged = self._engine.score(store)
        answers = self._task.describe(tagged, self._vocabulary.labels, self._checkpoint.temperature)
        return answers, counts(store)

    def probabilities(self, texts: Sequence[str]) -> Array:
        """Return the probability of each label, ``[text, label]``, in float64."""
        _, _, logits = self._outputs(texts)
        found: Array = self._task.probabilities(logits, self._checkpoint.temperature)
        return found

    def decided(self, texts: Sequence[str], decisions: Decisions) -> Array:
        """Return the index of the label of each text, ``[text]``, -1 for none. decisions: not those of ``of``."""
        if not texts:
            return np.zeros(0, np.int64)
        _, _, logits = self._outputs(texts)
        if decisions.usable:
            return decisions.indices(self._task.probabilities(logits, self._checkpoint.temperature))
        labels = self._vocabulary.labels
        described = self._task.describe(logits, labels, self._checkpoint.temperature)
        return np.array([labels.index(answer["label"]) for answer in described])

    def label_sets(self, texts: Sequence[str], decisions: Decisions) -> list[list[str]]:
        """Return the labels of each text, likeliest first, of a model that gives several. decisions: as of
        ``decided``."""
        if not texts:
            return []
        logits = self._outputs(texts)[2]
        described = decisions.task.describe(logits, self._vocabulary.labels, self._checkpoint.temperature)
        return [answer["labels"] for answer in described]

    def embeddings(self, texts: Sequence[str]) -> Array:
        """Return the encoder's embedding of each text, ``[text, feature]``: its sentence embedding, if it has one."""
        store = encode(self._vocabulary, [*map(Example, texts)], cache=None, labelled=False)
        return self._engine.embed(store.truncated(self._checkpoint.config.tokens), sentence=True)

    def _outputs(self, texts: Sequence[str], *, explained: bool = False) -> tuple[Store, Store, Array]:
        """Return the texts whole and as the model reads them, and the model's outputs ``[text, ...]``. explained: the
        outputs are those of torch, to which the contributions of words sum."""
        full = encode(self._vocabulary, [*map(Example, texts)], cache=None, labelled=False)
        store = full.truncated(self._checkpoint.config.tokens)
        engine = engines.Engine(self._checkpoint, self._engine.parts) if explained else self._engine
        return full, store, engine.score(store)

    def _labels(self, questions: list[Question], *, explained: bool = False) -> Iterator[Prediction]:
        texts = [question.text for question in questions]
        full, store, logits = self._outputs(texts, explained=explained)
        described = self._task.describe(logits, self._vocabulary.labels, self._checkpoint.temperature)
        if self._decisions.active:
            probabilities = self._task.probabilities(logits, self._checkpoint.temperature)
            described = self._decisions.applied(described, probabilities)
        if self._task.READS == "stream":
            described = [answer | {"next": next_} for answer, next_ in zip(described, self._next(store), strict=True)]
        if explained:
            reasons = self._explainer.of(texts, full, logits, self._explained(described, logits))
            described = [answer | why for answer, why in zip(described, reasons, strict=True)]
        truncated = (full.lengths > store.lengths).tolist()
        for text, answer, cut, count in zip(texts, described, truncated, counts(full), strict=True):
            yield Prediction({"text": text} | answer, cut, tally(count[None]))

    def _explained(self, described: list[dict[str, Any]], logits: Array) -> list[str]:
        """Return the label of each text; where none is given, the one that would be without thresholds."""
        found = [answer["label"] for answer in described]
        if all(found):
            return found
        names = self._vocabulary.labels
        best = self._decisions.unlimited(self._task.probabilities(logits, self._checkpoint.temperature)).tolist()
        return [label or names[index] for label, index in zip(found, best, strict=True)]

    @cached_property
    def _explainer(self) -> "Explainer":
        from lstmcli.inference.explain import Explainer

        return Explainer(self._checkpoint, self._engine.parts)

    def _next(self, store: Store) -> Iterator[dict[str, float]]:
        """Yield the likeliest next words of each text, with their probabilities."""
        import torch

        parts = self._engine.parts
        for text in range(len(store)):
            batch = batching.collate(store, np.array([text])).to(parts.runtime.device)
            with torch.inference_mode(), parts.runtime.autocast():
                probabilities = parts.stream_model.following(batch)[0].exp()[END:]  # no padding, no unknown
                best = probabilities.topk(min(NEXT, len(probabilities)))
            yield {parts.vocabulary.words[END + index]: round(probability, 6)
                   for index, probability in zip(best.indices.tolist(), best.values.tolist(), strict=True)}  # fmt: skip


def _in_text(entity: dict[str, Any], sentence: list[words.Span], text: str) -> dict[str, Any]:
    """Convert the entity's word indices to character offsets, and add its text."""
    begin, end = sentence[entity["start"]][0], sentence[entity["end"] - 1][1]
    return {"text": text[begin:end]} | entity | {"start": begin, "end": end}
