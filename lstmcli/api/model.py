"""A model for texts in memory: predict, explain, score, evaluate, adapt and save.

No call changes torch's random state, its thread count or the environment, and only ``Model.save`` writes a file.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lstmcli import recipes
from lstmcli.api import label_types
from lstmcli.api.evaluate import scored
from lstmcli.api.files import learner_options
from lstmcli.api.uncached import uncached
from lstmcli.config import RunConfig
from lstmcli.data.in_memory import Labels, Texts, check_known, examples_of, labels_at, texts_of
from lstmcli.data.text.vocabulary import Vocabulary
from lstmcli.errors import ConfigError, counted, for_python
from lstmcli.events import Listener, silent
from lstmcli.inference import select as selecting
from lstmcli.inference.decisions import DecisionOptions, Decisions
from lstmcli.inference.evaluate import Report
from lstmcli.inference.predict import Predictions
from lstmcli.machine import runtime
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage.checkpoint import Checkpoint
from lstmcli.storage.text_io import Question
from lstmcli.types import Example, Option

Array = np.ndarray[Any, np.dtype[Any]]


class Model:
    """A trained model, which never changes. It can be pickled; threads of one process take turns."""

    def __init__(self, checkpoint: Checkpoint, path: str = "") -> None:
        """Wrap a checkpoint; ``load`` and ``fit`` do. path: of its file, for reports."""
        self._checkpoint = checkpoint
        self._path = path
        self._made: Predictions | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"file": checkpoints.to_buffer(self._checkpoint), "path": self._path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._checkpoint = checkpoints.read(state["file"], where=state["path"])
        self._path = state["path"]
        self._made = None

    def __repr__(self) -> str:
        return f"<lstmcli {self._checkpoint.config.model.name}: {', '.join(map(str, self.classes_[:8]))}>"

    @property
    def classes_(self) -> Array:
        """The labels, in the order of the columns of ``predict_proba``; of a tagger, the types of entities.

        Labels that were given to ``fit`` as int or bool are int or bool, in ascending order; all others are strings.
        """
        return label_types.columns(self._checkpoint)[0]

    def predict(
        self, texts: Texts, *, min_confidence: float | None = None, thresholds: Mapping[Any, float] | None = None
    ) -> Any:
        """Return the label of each text, ``[text]``; a list of labels, where the model gives several; of a tagger, a
        list of entities.

        An entity is a dict: text, label, probability, and start and end in characters. Texts of a tagger may also be
        lists of words, which are joined by blanks.

        Args:
            texts: Strings.
            min_confidence: Give no label below this probability: an empty string, or None where labels are int or bool;
                None: as chosen in training (``train__target_precision``), else 0.
            thresholds: By label, the probability from which it is given. Of the labels that reach theirs, the likeliest
                (by weighted probability, with class weights) is given; where none does, of those without a threshold.
                Of a model that gives several labels: in place of the thresholds chosen in training.

        Raises:
            ConfigError: the model is a language model, or its head is untrained; or a threshold is not from 0 to 1, or
                of an unknown label.
            DataError: a text is empty or not a string.
        """
        with for_python():
            options = DecisionOptions(min_confidence, {str(label): p for label, p in (thresholds or {}).items()})
            decisions = Decisions(self._checkpoint, options)
        if self._checkpoint.task.READS != "words":
            self._check_labels("predict")
            read = list(map(str, texts_of(texts, words=False)))
            with self._ready() as predictions:
                if self._checkpoint.label_sets:
                    named = label_types.named(self._checkpoint)
                    return [[named[label] for label in labels] for labels in predictions.label_sets(read, decisions)]
                return labels_at(self._by_label([])[0], predictions.decided(read, decisions))
        questions = [
            Question(row, one) if isinstance(one, str) else Question(row, " ".join(one), words=one)
            for row, one in enumerate(texts_of(texts, words=None), 1)
        ]
        with self._ready() as predictions:
            return [found.answer["entities"] for found in predictions.of([questions])]

    def predict_sets(self, texts: Texts, coverage: float = 0.9) -> list[list[Any]]:
        """Return a set of labels for each text that contains the true one with this probability, likeliest first.

        A set can be empty: for all texts of the kind that the model was validated on, the probability is as given, not
        for each text. Raises as ``predict``; CheckpointError where the checkpoint has no scores of validation texts.
        """
        with for_python():
            decisions = Decisions(self._checkpoint, DecisionOptions(sets=coverage))
        classes, probabilities = self._by_label(texts)
        return [classes[found].tolist() for found in decisions.members(probabilities)]

    def in_scope(self, texts: Texts, coverage: float = 0.95) -> Array:
        """Return whether each text is of the kind that the model was trained on, ``[text]``: by the entropy of the
        probabilities. Of texts that are, this fraction is found to be. Raises as ``predict_sets``."""
        with for_python():
            decisions = Decisions(self._checkpoint, DecisionOptions(in_scope=coverage))
        return decisions.in_scope(self._by_label(texts)[1])

    def predict_proba(self, texts: Texts) -> Array:
        """Return the calibrated probability of each label, ``[text, label]``, in float64. Raises as ``predict``."""
        if self._checkpoint.task.READS == "words":
            fix = "use predict(texts): each entity has its probability"
            raise ConfigError("a tagger has no probabilities of whole texts", where="predict_proba", fix=fix)
        self._check_labels("predict")
        read = list(map(str, texts_of(texts, words=False)))
        classes, columns = label_types.columns(self._checkpoint)
        if not read:
            return np.zeros((0, len(classes)))
        with self._ready() as predictions:
            return predictions.probabilities(read)[:, columns]

    def explain(self, texts: Texts) -> list[dict[str, Any]]:
        """Return the contribution of each word to the predicted label of each text.

        Of each text a dict: ``label`` as of ``predict``, ``probability``, and ``contributions``, a list of ``[start,
        end, weight]`` with character offsets. The weights and ``base_value`` sum to the log odds log(p / (1 - p)) of
        the probability p; ``base_value`` are those of the text with every word unknown to the model. A longer text
        than the model reads has in ``cut`` the ``[start, end]`` of what it did not read: those words have weight zero.
        Integrated gradients, see ``lstmcli.inference.explain``. Raises as ``predict``, and ConfigError for a tagger.
        """
        self._checkpoint.check_one_label("explain")
        self._check_labels("explain", weights=True)
        questions = [Question(row, str(one)) for row, one in enumerate(texts_of(texts, words=False), 1)]
        with self._ready() as predictions:
            answers = [found.answer for found in predictions.of([questions], explained=True)]
        from lstmcli.inference import explain as explaining

        kept, named = ("probability", *explaining.BLANK), label_types.named(self._checkpoint)
        return [{"label": named[answer["label"]]} | {key: answer[key] for key in kept} for answer in answers]

    def select(self, texts: Texts, count: int, *, seed: int = 0) -> list[int]:
        """Return the indices of the texts that are most worth labelling, the most uncertain first.

        They are uncertain to the model, different from each other, and none that it has learned from; see
        ``lstmcli.inference.select``. seed: of the clusters. Raises as ``explain``.
        """
        self._checkpoint.check_whole_texts("select")
        self._check_labels("select")
        if count < 1:
            raise ConfigError(f"{counted(count, 'text')} cannot be chosen", where="select", fix="choose at least one")
        questions = [Question(index, str(one)) for index, one in enumerate(texts_of(texts, words=False))]
        with self._ready() as predictions:
            found = selecting.selected(self._checkpoint, predictions, [questions], count, seed=seed)
        return [prediction.answer["row"] for prediction in found]

    def score(self, texts: Texts, labels: Labels) -> float:
        """Return the accuracy, of a tagger F1 over entities: the first figure of ``evaluate``. Raises as that."""
        return self.evaluate(texts, labels).metrics[self._checkpoint.task.PRIMARY]["value"]

    def evaluate(
        self,
        texts: Texts,
        labels: Labels,
        *,
        thresholds: bool = False,
        report: str | Path | None = None,
        seed: int = 0,
        listener: Listener = silent,
    ) -> Report:
        """Return metrics with 95 % intervals, and those of the baselines that the model carries.

        Args:
            texts, labels: One label per text; for a tagger, lists of words and lists of their tags.
            thresholds: Also coverage, precision, recall and error by threshold, under ``details``.
            report: A folder for the page report.html, report.json and predictions.jsonl.
            seed: Of the resampling for the intervals.
            listener: Called with each event: progress, and notes on the data.

        Raises:
            DataError: as ``predict``; or the lengths differ, or the model does not know a label.
            RuntimeSetupError: the folder cannot be written.
        """
        self._check_labels("evaluate")
        examples, _ = self._examples(texts, labels)
        check_known(examples, self._vocabulary.classes)
        with self._apart() as checkpoint:
            return scored(checkpoint, examples, data="texts", split="given", path=self._path, report=report, seed=seed,
                           thresholds=thresholds, listener=listener)  # fmt: skip

    def adapt(
        self,
        texts: Texts,
        labels: Labels,
        *,
        learner: str | None = None,
        steps: int | None = None,
        seed: int = 0,
        listener: Listener = silent,
    ) -> "Model":
        """Return a new model that has learned from a few labelled texts; this one stays as it is.

        New labels become new classes; if no label of the model occurs, they replace the model's labels.

        Args:
            texts, labels: As in ``evaluate``.
            learner: As ``lstmcli adapt --learner``; None: that of the model's recipe; else ``anchored``.
            steps: Gradient steps, without ``learner`` of that of the recipe, else of finetune; None: the number that is
                best for texts that are left out.
            seed: Decides which of several equal texts with different labels is learned.
            listener: As in ``evaluate``.

        Raises:
            ConfigError: a language model, an unknown learner, or one that has no steps.
            DataError: as ``evaluate``, but for labels that the model does not know.
        """
        self._check_labels("adapt", headed=False, weights=True)
        examples, kind = self._examples(texts, labels)
        chosen = learner_options(learner, steps, flag="{}=")
        from lstmcli.inference import adapt as adapting

        free = learner is None and steps is None
        options = adapting.AdaptOptions(len(examples), seed, choose=steps is None, free=free)
        with self._apart(chosen) as checkpoint:
            found = adapting.adapted(checkpoint, examples, options, listener=listener)
        left = set(found.vocabulary.labels) & set(self._vocabulary.labels)
        mixed = left and kind != label_types.of(self._checkpoint)
        return kept(found, self._checkpoint.config, "str" if mixed else kind)

    def save(self, path: str | Path) -> None:
        """Write a file that ``load`` and all commands accept. Raises RuntimeSetupError where it cannot be written."""
        checkpoints.save(self._checkpoint, Path(path))

    @property
    def _vocabulary(self) -> Vocabulary:
        return self._checkpoint.vocabulary

    def _examples(self, texts: Texts, labels: Labels) -> tuple[list[Example], str]:
        words = self._checkpoint.task.READS == "words"
        return examples_of(texts, labels, words=words, sets=self._checkpoint.label_sets)

    def _by_label(self, texts: Texts) -> tuple[Array, Array]:
        """Return the labels in the user's type and their probabilities, ``[text, label]``, in the model's order."""
        classes, columns = label_types.columns(self._checkpoint)
        order = columns.argsort()
        return classes[order], self.predict_proba(texts)[:, order]

    def _check_labels(self, where: str, *, headed: bool = True, weights: bool = False) -> None:
        """Raise ConfigError where the model has no labels, or no trained head or weights where they are needed."""
        if weights:
            self._checkpoint.check_weights(where)
        if self._checkpoint.task.READS == "stream":
            fix = "use the commands: lstmcli predict and lstmcli evaluate; or load a model that was trained with labels"
            raise ConfigError("a language model has no labels", where=where, fix=fix)
        if headed and not self._checkpoint.headed:
            what, fix = "the model has no trained head: it makes one from a few texts", "model.adapt(texts, labels)"
            raise ConfigError(what, where=where, fix=f"adapt it first: {fix}")

    @contextmanager
    def _apart(self, options: list[Option] | None = None) -> Iterator[Checkpoint]:
        """Yield the checkpoint for work that leaves the process as it was, and writes no cache."""
        config = self._checkpoint.config
        with for_python(), runtime.unchanged(config):
            adjusted = recipes.adjusted(config, options) if options else config
            yield replace(self._checkpoint, config=uncached(adjusted))

    @contextmanager
    def _ready(self) -> Iterator[Predictions]:
        """Yield the model with its weights on the device."""
        with self._apart() as checkpoint:
            self._made = self._made or Predictions(checkpoint)
            yield self._made


def kept(checkpoint: Checkpoint, config: RunConfig, label_type: str) -> Model:
    """Return the model with the data and threads of the config in place of those of the work."""
    adjusted = checkpoint.config.model_copy(update={"data": config.data, "threads": config.threads})
    return Model(replace(checkpoint, config=adjusted, progress=checkpoint.progress | {label_types.KEY: label_type}))
