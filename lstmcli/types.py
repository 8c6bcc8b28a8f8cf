"""The types that all packages of the program share.

torch is imported for type checking only, so that readers and checks run before torch is loaded.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

Metrics = dict[str, "Measure"]
INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad \u00a0\t"  # stripped from labels


class Casing(IntEnum):
    """How a word is capitalised (after Collobert et al. 2011, section 3.2.2); words of digits and signs too."""

    LOWER = 0
    CAPITAL = 1
    CAPITALS = 2
    MIXED = 3
    NUMBER = 4
    DIGITS = 5
    PUNCTUATION = 6
    CASELESS = 7


CASINGS = len(Casing)
BYTES = 257  # ids of characters, UTF-8 bytes plus one; 0 is padding


class Sizes(NamedTuple):
    """The sizes of a model that its section does not have. words: without those that have frozen vectors."""

    words: int
    labels: int
    frozen_words: int


class LabelSet(frozenset[str]):
    """The labels of a text where a text can have several, or none; as a string in alphabetical order."""

    def __str__(self) -> str:
        return ", ".join(sorted(self))


Target = str | tuple[str, ...] | LabelSet


@dataclass(frozen=True, slots=True)
class Example:
    """One text with its target: a label, a tag per word, a set of labels, or none.

    Both are normalised to Unicode's composed form (NFC), in training and prediction: a word with a combining accent, as
    some systems write it, would be another word. A label is stripped of invisible characters too.
    """

    text: str | tuple[str, ...]
    target: Target | None = None
    domain: str = ""
    where: str = ""  # file:line, file:list[number] or the file: of this example alone

    def __post_init__(self) -> None:
        if isinstance(self.text, tuple):
            object.__setattr__(self, "text", tuple(map(_composed, self.text)))
        elif not self.text.isascii():
            object.__setattr__(self, "text", _composed(self.text))
        if isinstance(self.target, str) and not self.target.isascii():
            object.__setattr__(self, "target", bare(_composed(self.target)))
        if isinstance(self.target, LabelSet) and not str(self.target).isascii():
            object.__setattr__(self, "target", LabelSet(bare(_composed(one)) for one in self.target))


def bare(label: str) -> str:
    """Return the label without blanks and invisible characters around it."""
    while (less := label.strip().strip(INVISIBLE)) != label:
        label = less
    return label


def _composed(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


@dataclass(frozen=True)
class Rows:
    """What a reader found in one split; a bad row is ``(file:line, what is wrong)``; notes: for the user."""

    examples: Sequence[Example]
    bad: list[tuple[str, str]]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class WordFeatures:
    """Features of the words of a batch, each surface form once.

    forms: ``[batch, time]``, the row of each word in the other fields; characters: ``[form, longest]``, the UTF-8 bytes
    plus one, 0 where padded; casing: ``[form]``, a ``Casing``; context: ``[form]``, the id in the vocabulary of the
    language model that reads with the model, if there is one.
    """

    forms: Tensor
    characters: Tensor
    casing: Tensor
    context: Tensor

    def to(self, device: str) -> WordFeatures:
        return WordFeatures(*(part.to(device) for part in vars(self).values()))


@dataclass(frozen=True)
class Batch:
    """Texts of one padded batch.

    tokens: ``[batch, time]`` ids, 0 where padded; lengths: ``[batch]``, at least 1 each;
    targets: ``[batch]`` label ids, ``[batch, label]`` probabilities or, of sets of labels, whether the text has each,
    ``[batch, time]`` tag ids, or the ids of the words
    that follow, or none; word_features: of a tagger.
    """

    tokens: Tensor
    lengths: Tensor
    targets: Tensor | None = None
    word_features: WordFeatures | None = None

    @property
    def mask(self) -> Tensor:
        """``[batch, time]``, true at tokens, false at padding."""
        positions = self.tokens.new_ones(self.tokens.shape[1]).cumsum(0)  # 1, 2, ..., time
        return positions <= self.lengths[:, None]

    def to(self, device: str) -> Batch:
        targets = None if self.targets is None else self.targets.to(device)
        features = None if self.word_features is None else self.word_features.to(device)
        return replace(
            self,
            tokens=self.tokens.to(device),
            lengths=self.lengths.to(device),
            targets=targets,
            word_features=features,
        )


@dataclass(frozen=True)
class Episode:
    """A small task, or several at once: texts to learn from, and texts to score. No text is in both.

    labels: those of the task; targets of support and query are indices into them. Of several tasks at once every tensor
    has a leading dimension: tokens ``[task, batch, time]``, lengths and targets ``[task, batch]``.
    """

    support: Batch
    query: Batch
    labels: tuple[str, ...]

    def to(self, device: str) -> Episode:
        return replace(self, support=self.support.to(device), query=self.query.to(device))


@dataclass(frozen=True)
class ClassScores:
    """logits: ``[batch, label]``; embedding: ``[batch, feature]``, what the linear head sees."""

    logits: Tensor
    embedding: Tensor

    def headed(self, output: Tensor, embedding: Tensor, batch: Batch) -> ClassScores:  # noqa: ARG002
        """Return the scores with the output of another head for a batch's embedding."""
        return ClassScores(output, embedding)


@dataclass(frozen=True)
class TagScores:
    """emissions: ``[batch, time, label]``; embedding: ``[batch, time, feature]``, what the linear head sees; lengths:
    ``[batch]``.

    transitions, start, end: scores of neighbouring tags, ``[label, label]`` from row to column, and of the first and
    last tag, ``[label]``; all zero without a CRF.
    """

    emissions: Tensor
    transitions: Tensor
    start: Tensor
    end: Tensor
    embedding: Tensor
    lengths: Tensor

    def headed(self, output: Tensor, embedding: Tensor, batch: Batch) -> TagScores:
        """Return the scores with the output of another head for a batch's embedding."""
        return replace(self, emissions=output, embedding=embedding, lengths=batch.lengths)


@dataclass(frozen=True)
class TokenScores:
    """log_probs: ``[direction, batch, time]``, log probability of each target, forwards given the tokens up to it,
    backwards given those after it, 0 at padding; lengths: ``[batch]``; penalty: what training adds to the loss; state:
    hidden and cell of the forward direction after the last token, ``[layer, batch, hidden]``, for the next batch."""

    log_probs: Tensor
    lengths: Tensor
    penalty: Tensor
    state: tuple[Tensor, Tensor] | None


Headed = ClassScores | TagScores  # made by a linear head
Scores = Headed | TokenScores  # one kind per task


@dataclass(frozen=True)
class Mean:
    """A mean and the number of its items, so that a mean over ragged batches is a mean over items."""

    value: Tensor
    count: int | Tensor

    def __add__(self, more: Tensor) -> Mean:
        return Mean(self.value + more, self.count)


@dataclass(frozen=True)
class Option:
    """An option of a command that sets a field of the recipe, as it was typed: no YAML is read into it."""

    key: str
    flag: str
    value: object


@dataclass(frozen=True)
class Measure:
    """A figure with its 95 % interval; fractions, not per cent."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class SplitCheck:
    """The contents of one split; labels of texts, or of entities by type; lengths in tokens."""

    examples: int
    labels: dict[str, int]
    duplicates: int
    in_train: int
    median: int
    longest: int
    over: int  # texts longer than max_tokens
    tagged: bool
    per_text: tuple[int, int] | None = None  # the fewest and the most labels of a text that can have several


Loss = Callable[[Scores, Batch], Mean]
