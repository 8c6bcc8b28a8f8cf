"""Hold examples out of the training data for validation, where it has no validation split.

A run that starts from another model (``model.init``) validates on texts which that model has not learned either, as
far as there are enough: on the others its accuracy is too high, its probabilities too sure, and the epoch before the
first one looks best.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from lstmcli import registry
from lstmcli.config import RunConfig
from lstmcli.contracts import ReaderHooks, hooks
from lstmcli.data.batches import check, label_names, sampling
from lstmcli.data.batches.ragged import Ints
from lstmcli.data.batches.sampling import Parts
from lstmcli.data.spooled import hashes
from lstmcli.data.text.vocabulary import count_words
from lstmcli.errors import DataError, counted, verb
from lstmcli.events import Listener, Noted, silent
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage import run_folder
from lstmcli.types import Example

FEWEST = 4  # examples of which two can be held out
ENOUGH = 100  # texts to validate on in place of more that the initial model has learned: see configs/README.md
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
        note_learned(config, train, listener)
        listener(
            Noted(f"texts to train on: {len(train)}; the last {fraction:.0%} of the words are held out for validation")
        )
        return texts, held
    if count >= 2 or len(train) >= FEWEST:
        check_classes(config, train, [], where)
    if count < 2:
        what = f"{counted(len(train), 'example')} {verb(len(train), 'are')} too few "
        what += f"to hold {fraction:.0%} out for validation"
        raise DataError(what, where=where, fix=_larger(len(train)))
    grouped = hooks(ReaderHooks, registry.reader(config.data.name)).TOGETHER
    draw = sampling.consecutive if grouped and reads == "text" else sampling.stratified
    validation, rest = _unlearned_first(config, train, count, draw, listener)
    if not validation:  # of tagged sentences
        what = "each type of entity is in one sentence alone: none can be held out for validation"
        raise DataError(what, where=where, fix="give at least two sentences with each type")
    return rest, validation


def not_learned(rest: Sequence[Example], held: Sequence[Example], learned: Ints | None) -> Sequence[Example]:
    """Return the part that a finished run has held out, given its training texts divided again.

    The division differs from that of the run where ``model.init`` has changed since, or is not there: then the model
    has not learned all of ``rest``. What it has not learned is the part. learned: hashes of what it has learned.
    """
    if learned is None or not np.isin(hashes(held), learned).any() or np.isin(hashes(rest), learned).all():
        return held
    apart = [*_without(held, learned), *_without(rest, learned)]
    return apart or held


def _without(examples: Sequence[Example], learned: Ints) -> list[Example]:
    return [examples[index] for index in np.flatnonzero(~np.isin(hashes(examples), learned)).tolist()]


def _unlearned_first(
    config: RunConfig, train: Sequence[Example], count: int, draw: Callable[..., Parts], listener: Listener
) -> Parts:
    """Draw ``count`` texts, or fewer so that the model of ``model.init`` has not learned them, and return them and the
    rest. draw: of ``sampling``."""
    known = _learned_before(config)
    if not len(known):
        return draw(train, count, seed=config.seed)
    learned = np.isin(hashes(train), known)
    few = min(count, int((~learned).sum()))
    if few < min(count, ENOUGH):
        validation, rest = draw(train, count, seed=config.seed)
    else:
        validation, rest = draw(train, few, seed=config.seed, last=learned)
    if len(validation) < count and few >= ENOUGH:
        what = f"{counted(len(validation), 'text')} are held out for validation, not {count:,}"
        listener(Noted(f"{what}: the initial model ({config.model.init}) has learned from most others"))
    _note(config, validation, known, listener)
    return validation, rest


def _learned_before(config: RunConfig) -> Ints:
    """Return the hashes of the texts whose labels (of a language model, whose words) the model of ``model.init`` has
    learned.

    A language model has learned no labels. Empty without such a model, and where its file is no longer there.
    """
    none = np.empty(0, np.int64)
    if config.model.init is None or not run_folder.model_at(config.model.init).is_file():
        return none
    found = checkpoints.opened(config.model.init)
    same = found.task.READS == registry.task(config.task).READS
    return found.arrays("learned").get("texts", none) if same else none


def note_learned(config: RunConfig, validation: Sequence[Example], listener: Listener) -> None:
    """Remark on validation texts that the model of ``model.init`` has learned from."""
    _note(config, validation, _learned_before(config), listener)


def _note(config: RunConfig, validation: Sequence[Example], known: Ints, listener: Listener) -> None:
    if remark := learned_remark(f"the initial model ({config.model.init})", validation, known):
        fix = "for a score that holds, put texts that it has not learned into a file of their own beside train"
        listener(Noted(f"validation: {remark}; {fix}"))


def learned_remark(model: str, examples: Sequence[Example], learned: Ints) -> str:
    """Return a remark on texts that the model has learned from; empty if there are none. learned: their hashes."""
    if count := int(np.isin(hashes(examples), learned).sum()):
        return f"{model} has learned from {count:,} of {counted(len(examples), 'text')}, which flatters its score"
    return ""


def check_classes(config: RunConfig, train: Sequence[Example], validation: Sequence[Example], where: str) -> None:
    """Raise DataError where nearly every text has a unique label, unless validation has the same labels."""
    counts = check.count(train)
    once = sum(count == 1 for count in counts.values())
    known = bool(validation) and check.count(validation).keys() <= counts.keys()
    if registry.task(config.task).READS != "text" or once < ONCE * len(train) or known:
        return
    numbers = all(label_names.number(label) is not None for label in counts)
    looks = "a number to predict or an id" if numbers else "an id or a text"
    of_all = f"{counted(len(counts), 'label')} for {counted(len(train), 'example')}"
    what = f"{of_all}: '{config.data.label_column}' looks like {looks}"
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
            what = f"{counted(words, 'word')} {verb(words, 'are')} too few for a language model"
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
    """Return the nearest position of a space, where one is near."""
    begin = max(0, position - LONGEST)
    spaces = (begin + found.start() for found in re.finditer(r"\s", text[begin : position + LONGEST]))
    return min(spaces, key=lambda space: abs(space - position), default=position)
