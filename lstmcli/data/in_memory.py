"""Texts and labels in Python: lists, arrays or columns of a data frame."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from lstmcli import tags
from lstmcli.data import rows
from lstmcli.data.batches.sampling import labels as labels_of
from lstmcli.errors import DataError, counted, did_you_mean
from lstmcli.types import Example, LabelSet

Texts = Iterable[str | Sequence[str]]
Labels = Iterable[Any]
Array = np.ndarray[Any, np.dtype[Any]]
SEPARATOR = ","  # of labels in files, where those in memory were lists
LABEL_TYPES: dict[str, Callable[[str], Any]] = {
    "str": str,
    "int": int,
    "bool": "True".__eq__,
}  # from the string of a label back to the label


def texts_of(texts: Texts, *, words: bool | None) -> list[str | tuple[str, ...]]:
    """Return the texts, checked. words: each is a list of words, or a string; None: either.

    Raises:
        DataError: a text is empty, of another type, or not valid Unicode.
    """
    if isinstance(texts, str):
        raise DataError("one string, not a list of texts", where="texts", fix="put it into a list: [text]")
    return [_text(text, f"texts[{row}]", words=words) for row, text in enumerate(texts)]


def _text(text: Any, where: str, *, words: bool | None) -> str | tuple[str, ...]:
    if isinstance(text, str) and words is not True:
        _check(text, "the text", where)
        return str(text)
    if words is not False and isinstance(text, list | tuple):
        if not text:
            raise DataError("the text has no words", where=where, fix="leave it out")
        for index, word in enumerate(text):
            if not isinstance(word, str):
                raise DataError(f"a word is a {_name(word)}", where=f"{where}[{index}]", fix="give strings")
            _check(word, "the word", f"{where}[{index}]")
        return tuple(map(str, text))
    expected = "a list of words" if words else "a string"
    fix = "split it into words: text.split()" if words else "give strings; leave out rows without a text"
    raise DataError(f"the text is a {_name(text)}, not {expected}", where=where, fix=fix)


def _check(text: str, what: str, where: str) -> None:
    if not text.strip():
        raise DataError(f"{what} is empty", where=where, fix="leave it out")
    if rows.broken(text):
        fix = "decode the bytes that it comes from with their own encoding"
        raise DataError(f"{what} holds characters that are not valid Unicode", where=where, fix=fix)


def are_sets(labels: Sequence[Any]) -> bool:
    """Return whether each text has a list of labels, or a set of them, in place of one."""
    return bool(labels) and all(isinstance(one, list | tuple | set | frozenset | np.ndarray) for one in labels)


def examples_of(texts: Texts, labels: Labels, *, words: bool, sets: bool = False) -> tuple[list[Example], str]:
    """Return labelled examples, and the type of their labels: a key of ``LABEL_TYPES``.

    words: each text is a list of words, and each label a list of their tags, of IOB1, IOB2, IOBES or BILOU; sets: each
    text has a list of labels, which may be empty.

    Raises:
        DataError: as ``texts_of``; or there are no texts, or not as many labels, or one is no label.
    """
    read = texts_of(texts, words=words)
    if isinstance(labels, str):
        raise DataError("one string, not a list of labels", where="labels", fix="give one label per text")
    targets = list(labels)
    if len(read) != len(targets):
        raise DataError(
            f"{counted(len(read), 'text')} and {counted(len(targets), 'label')}",
            where="labels",
            fix="give one label per text",
        )
    if not read:
        raise DataError("no texts", where="texts", fix="give at least one text with its label")
    if words:
        return [_tagged(text, target, row) for row, (text, target) in enumerate(zip(read, targets, strict=True))], "str"
    if sets and not are_sets(targets):
        row = next(row for row, one in enumerate(targets) if not are_sets([one]))
        what = f"the labels of a text are a {_name(targets[row])}, not a list"
        raise DataError(what, where=f"labels[{row}]", fix="give a list of labels per text: ['a', 'b'], ['a'] or []")
    kinds: dict[str, int] = {}  # the first row of each
    for row, label in enumerate(targets):
        for one in label if sets else [label]:
            kinds.setdefault(_kind(one, f"labels[{row}]"), row)
    if len(kinds) > 1:
        where = ", ".join(f"labels[{row}] is a {kind}" for kind, row in kinds.items())
        raise DataError("labels of different types", where=where, fix="give labels of one type")
    pairs = enumerate(zip(read, targets, strict=True))
    found = [Example(text, LabelSet(map(str, label)) if sets else str(label), where=f"texts[{row}]")
             for row, (text, label) in pairs]  # fmt: skip
    return found, next(iter(kinds), "str")


def check_known(examples: Sequence[Example], known: Sequence[str], what: str = "labels") -> None:
    """Raise DataError where a label, or a type of entity, is not among the known. what: name of the argument."""
    for row, example in enumerate(examples):
        for name in labels_of(example):
            if name not in known:
                fix = did_you_mean(name, known)
                raise DataError(f"the model does not know '{name}'", where=f"{what}[{row}]", fix=fix)


def _kind(label: Any, where: str) -> str:
    """Return the type of a label; scalars of NumPy count as those of Python."""
    plain = label.item() if hasattr(label, "item") and not isinstance(label, str) else label
    name = "str" if isinstance(plain, str) else _name(plain)
    if name not in LABEL_TYPES:
        fix = "give one string, int or bool per text; leave out texts without a label"
        if are_sets([plain]):
            fix = "give one label per text; or a list for every text, to fit a model that gives several"
        raise DataError(f"the label is a {name}", where=where, fix=fix)
    if name == "str":
        _check(str(plain), "the label", where)
    return name


def _tagged(text: Any, target: Any, row: int) -> Example:
    where = f"labels[{row}]"
    if not isinstance(target, list | tuple) or not all(isinstance(tag, str) for tag in target):
        raise DataError("the label of a text of words is a list of tags", where=where, fix="give one tag per word")
    if len(target) != len(text):
        raise DataError(
            f"{counted(len(text), 'word')} and {counted(len(target), 'tag')}", where=where, fix="give one tag per word"
        )
    try:
        return Example(text, tags.iobes(target), where=f"texts[{row}]")
    except ValueError as error:
        raise DataError(str(error), where=where, fix="for example ['B-PER', 'I-PER', 'O']") from error


def _name(value: object) -> str:
    return type(value).__name__


def labels_at(classes: Array, indices: Array) -> Array:
    """Return the label of each index; for -1, an empty string, or None among labels that are no strings."""
    if (indices >= 0).all():
        return classes[indices]
    no_label = np.array([""]) if classes.dtype.kind == "U" else np.array([None])
    labels: Array = np.concatenate((classes, no_label))[indices]  # -1 is the last
    return labels
