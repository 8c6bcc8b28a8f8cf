"""Hold examples out of the training data for validation, where it has no validation split."""

import math
import re
from collections.abc import Sequence
from dataclasses import replace

from lstmcli import registry
from lstmcli.config import RunConfig
from lstmcli.contracts import ReaderHooks, hooks
from lstmcli.data.batches import check, label_names, sampling
from lstmcli.data.batches.sampling import Parts
from lstmcli.data.text.vocabulary import count_words
from lstmcli.errors import DataError
from lstmcli.events import Listener, Noted, silent
from lstmcli.types import Example

FEWEST = 4  # examples of which two can be held out
FEWEST_WORDS = 100  # of texts of which the end can be held out
LONGEST = 100  # characters of a word; a text is cut at a space no further away
ONCE = 0.9  # fraction of examples with a unique label from which on labels are no classes


def hold_out(config: RunConfig, train: Sequence[Example], where: str, *, listener: Listener = silent) -> Parts:
    """Divide the examples into those to train on and those to validate on. where: the data, for messages.

    Raises:
        DataError: too few examples, or labels that are no classes.
    """
    fraction, count = config.data.validation, round(config.data.validation * len(train))
    reads = registry.task(config.task).READS
    if reads == "stream" and count < 2 and all(isinstance(example.text, str) for example in train):
        texts, held = _without_end(train, fraction, where)
        listener(
            Noted(f"texts to train on: {len(train)}; the last {fraction:.0%} of the words are held out for validation")
        )
        return texts, held
    if count >= 2 or len(train) >= FEWEST:
        check_classes(config, train, [], where)
    if count < 2:
        what = f"{len(train)} examples are too few to hold {fraction:.0%} out for validation"
        raise DataError(what, where=where, fix=_larger(len(train)))
    grouped = hooks(ReaderHooks, registry.reader(config.data.name)).TOGETHER
    draw = sampling.consecutive if grouped and reads == "text" else sampling.stratified
    validation, rest = draw(train, count, seed=config.seed)
    if not validation:  # of tagged sentences
        what = "each type of entity is in one sentence alone: none can be held out for validation"
        raise DataError(what, where=where, fix="give at least two sentences with each type")
    return rest, validation


def check_classes(config: RunConfig, train: Sequence[Example], validation: Sequence[Example], where: str) -> None:
    """Raise DataError where nearly every text has a unique label, unless validation has the same labels."""
    counts = check.count(train)
    once = sum(count == 1 for count in counts.values())
    known = bool(validation) and check.count(validation).keys() <= counts.keys()
    if registry.task(config.task).READS != "text" or once < ONCE * len(train) or known:
        return
    numbers = all(label_names.number(label) is not None for label in counts)
    looks = "a number to predict or an id" if numbers else "an id or a text"
    what = f"{len(counts):,} labels for {len(train):,} examples: '{config.data.label_column}' looks like {looks}"
    raise DataError(what, where=where, fix="name another column: --label-column NAME")


def _larger(count: int) -> str:
    """Propose how to hold out two of so few examples."""
    if count < FEWEST:
        return f"give at least {FEWEST} examples"
    return f"give more examples, or hold out a larger part: --set data.validation={math.ceil(200 / count) / 100:g}"


def _without_end(train: Sequence[Example], fraction: float, where: str) -> Parts:
    """Texts that are too few to hold one out without the last of their words, and those. Raises as ``hold_out``."""
    texts = [replace(example, text=str(example.text).strip()) for example in train]
    lengths = [len(example.text) for example in texts]
    if sum(lengths) < LONGEST * FEWEST_WORDS:
        words = sum(count_words(str(example.text)) for example in texts)
        if words < FEWEST_WORDS:
            what = f"{words} words are too few for a language model"
            raise DataError(what, where=where, fix=f"give at least {FEWEST_WORDS} words")
    held: list[Example] = []
    count = max(1, round(fraction * sum(lengths)))  # characters
    while count > 0:
        last = texts.pop()
        text = str(last.text)
        cut = _at_space(text, len(text) - count) if count < len(text) else 0
        if cut > 0:
            texts.append(replace(last, text=text[:cut]))
        held.insert(0, replace(last, text=text[cut:].strip()))
        count -= len(text)
    return texts, held


def _at_space(text: str, position: int) -> int:
    """The nearest position of a space, where one is near."""
    begin = max(0, position - LONGEST)
    spaces = (begin + found.start() for found in re.finditer(r"\s", text[begin : position + LONGEST]))
    return min(spaces, key=lambda space: abs(space - position), default=position)
