"""Check the data before training: report what would spoil the result while it is cheap to fix."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from lstmcli.data.batches import label_names
from lstmcli.data.batches.ragged import Ints
from lstmcli.data.batches.sampling import labels
from lstmcli.data.spooled import by_target, hashes
from lstmcli.errors import DataError, counted, verb
from lstmcli.types import Example, LabelSet, SplitCheck

RARE = 10  # a class of fewer training examples is reported
FEW = 3  # small classes that are reported one by one
SHOWN = 12  # names of a list
UNEVEN_FIX = "to label the rare ones more often: --set train.class_weights=adjusted"


def check(splits: Mapping[str, Sequence[Example]], lengths: Mapping[str, tuple[Ints, Ints]]) -> dict[str, SplitCheck]:
    """One SplitCheck per split. lengths: of each text in tokens, and how many of them are read.

    Raises:
        DataError: only one class to train on, or no entity.
    """
    tagged = isinstance(splits["train"][0].target, tuple)
    counts = count(splits["train"])
    if tagged and not counts:
        fix = "give sentences with at least one tag other than O"
        raise DataError("no entities to learn", where=splits["train"][0].where, fix=fix)
    sets = isinstance(splits["train"][0].target, LabelSet)
    if sets and not counts:
        fix = "give texts with labels, or name their column: --label-column NAME"
        raise DataError("no text has a label", where=splits["train"][0].where, fix=fix)
    if counts and not tagged and not sets and len(counts) < 2:
        only = ", ".join(f"'{label}'" for label in counts)
        raise DataError(
            f"only one class to learn: {only}",
            where=splits["train"][0].where,
            fix="give examples of at least two labels",
        )
    distinct = {name: np.unique(hashes(examples)) for name, examples in splits.items()}
    return {
        name: SplitCheck(
            examples=len(examples),
            labels=dict(sorted(count(examples).items())),
            duplicates=len(examples) - len(distinct[name]),
            in_train=0 if name == "train" else int(np.isin(hashes(examples), distinct["train"]).sum()),
            median=int(np.median(lengths[name][0])) if len(examples) else 0,
            longest=int(lengths[name][0].max(initial=0)),
            over=int((lengths[name][0] > lengths[name][1]).sum()),
            tagged=tagged,
            per_text=_per_text(examples) if sets else None,
        )
        for name, examples in splits.items()
    }


def count(examples: Sequence[Example]) -> Counter[str]:
    """How many examples each label has; of tagged words, how many entities each type."""
    firsts, numbers = by_target(examples)
    found: Counter[str] = Counter()
    for first, count in zip(firsts, np.bincount(numbers, minlength=len(firsts)).tolist(), strict=True):
        for label in labels(first):
            found[label] += count
    return found


def _per_text(examples: Sequence[Example]) -> tuple[int, int]:
    sizes = [len(labels(first)) for first in by_target(examples)[0]]
    return min(sizes), max(sizes)


def remarks(checked: Mapping[str, SplitCheck], *, fix: str = "") -> list[str]:
    """Return the findings that the user should know, in words. fix: of uneven classes."""
    found = label_remarks(checked["train"], fix=fix)
    for name, split in checked.items():
        if split.tagged and not split.labels:
            found.append(f"{name}: no entities; its scores mean nothing")
        if split.duplicates:
            found.append(
                f"{name}: {counted(split.duplicates, 'text')} {verb(split.duplicates, 'repeat')} another of the split"
            )
        if split.in_train:
            found.append(
                f"{name}: {counted(split.in_train, 'text')} {verb(split.in_train, 'are')} also in train; "
                f"scores are flattered by at most "
                f"{100 * split.in_train / split.examples:.1f} points"
            )
        if split.over:
            found.append(f"{name}: {counted(split.over, 'text')} {verb(split.over, 'are')} longer than max_tokens")
    return found


def label_remarks(train: SplitCheck, *, fix: str = "") -> list[str]:
    """Return the findings on the labels to learn, in words. fix: of uneven classes."""
    found = [*label_names.remarks(train.labels), *_small(train)]
    if not train.tagged:
        found += label_names.joined(train.labels)
    if train.per_text == (1, 1):
        found.append("each text has exactly one label; a model without --label-separator would give exactly one too")
    if uneven(train.labels) and not train.tagged and train.per_text is None:
        most, least = max(train.labels.values()), min(train.labels.values())
        what = (
            f"the classes are uneven: {counted(most, 'example')} against {least}; read balanced_accuracy and macro_f1"
        )
        found.append(f"{what}; {fix}" if fix else what)
    return found


def uneven(labels: Mapping[str, int]) -> bool:
    """Return whether one class has more than five times the examples of another. labels: examples by class."""
    return max(labels.values(), default=0) > 5 * min(labels.values(), default=0)


def _small(train: SplitCheck) -> list[str]:
    """Classes of few examples: each, or all in one line where they are many."""
    kind, kinds = ("type", "types") if train.tagged else ("class", "classes")
    small = {label: count for label, count in train.labels.items() if count < RARE}
    if len(small) <= FEW:
        return [f"{kind} '{label}' has only {count} training examples" for label, count in small.items()]
    label = min(small, key=small.__getitem__)
    return [
        f"{len(small):,} of {len(train.labels):,} {kinds} have fewer than {RARE} training examples, "
        f"the smallest '{label}' with {small[label]}"
    ]


def listed(names: Sequence[str]) -> str:
    """Return the names, or the first of them and how many there are."""
    more = len(names) - SHOWN
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:SHOWN])} and {more:,} more"
