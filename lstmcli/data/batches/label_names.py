"""Labels that may be meant as one: alike but for case, spaces, punctuation, Unicode form or a typing error."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping
from decimal import Decimal

from lstmcli.data.labels import SEPARATORS, option
from lstmcli.errors import counted

FEWEST = 5  # characters of a name in which a typing error is looked for
RARER = 10  # a typing error occurs so many times less often than the name
MOST = 500  # labels among which typing errors are looked for
SHOWN = 5  # remarks of one kind
FEWEST_JOINED = 3  # labels of several parts
DECIMALS = 10  # distinct numbers with decimals; more look like a number to predict
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
_BETWEEN_LETTERS = re.compile(r"(?<=[^\W\d_])[\s_.-]+(?=[^\W\d_])")


def remarks(counts: Mapping[str, int], *, mapped: bool = True) -> list[str]:
    """Name the labels that may be one. counts: examples of each label; mapped: ``--map`` can make them one."""
    counts = dict(sorted(counts.items()))
    return [*_first(_alike(counts, mapped=mapped)), *_first(_mistyped(counts, mapped=mapped)), *_measured(counts)]


def joined(counts: Mapping[str, int]) -> list[str]:
    """Report labels that look like several: parts between separators that come together in many ways."""
    for separator in SEPARATORS:
        several = [label for label in counts if separator in label.strip(separator)]
        parts = {part.strip() for label in several for part in label.split(separator)}
        if FEWEST_JOINED <= len(several) >= len(parts):
            what = f"{counted(len(several), 'label')}, such as {_quoted(several[0])}, are made of {len(parts):,} parts"
            return [f"{what}; if a text can have several labels: --label-separator '{separator}'"]
    return []


def _first(found: list[str]) -> list[str]:
    more = len(found) - SHOWN
    return found if more <= 0 else [*found[:SHOWN], f"{more:,} more remarks of this kind on labels"]


def number(label: str) -> Decimal | None:
    """Return the number that a label is, if it is one."""
    plain = unicodedata.normalize("NFKC", label).strip()
    return Decimal(plain) if _NUMBER.fullmatch(plain) else None


def _visible(label: str) -> str:
    """Return the label without characters that are not seen, in Unicode form NFKC."""
    seen = (character for character in label if unicodedata.category(character) not in ("Cc", "Cf"))
    return unicodedata.normalize("NFKC", "".join(seen))


def _spaced(label: str) -> str:
    return " ".join(label.split())


def _bare(label: str) -> str:
    """Return the label in lower case without punctuation at its ends, and without blanks and signs within words."""
    folded = _spaced(_visible(label).casefold())
    return _BETWEEN_LETTERS.sub("", folded.strip(".,;:!?\"'()[] ")) or folded


# From the finest to the coarsest: a group is described by the first that makes its labels one.
_KEYS: dict[str, Callable[[str], Hashable]] = {
    "differ in capitals alone": str.lower,
    "differ in spaces alone": _spaced,
    "differ in Unicode form or invisible characters alone": _visible,
    "are the same number": lambda label: label if number(label) is None else number(label),
    "differ in capitals, spaces or punctuation alone": _bare,
}


def _key(label: str) -> Hashable:
    value = number(label)
    return _bare(label) if value is None else value


def _alike(counts: Mapping[str, int], *, mapped: bool) -> list[str]:
    groups: dict[Hashable, list[str]] = defaultdict(list)
    for label in counts:
        groups[_key(label)].append(label)
    found = []
    for group in groups.values():
        if len(group) > 1:
            how = next(how for how, key in _KEYS.items() if len(set(map(key, group))) == 1)
            listed = ", ".join(f"{_quoted(label)} ({counts[label]:,})" for label in group)
            most = max(group, key=counts.__getitem__)
            fix = _as_one({label: most for label in group if label != most}, mapped=mapped)
            found.append(f"labels {listed} {how}, and are classes of their own; {fix}")
    return found


def _as_one(names: Mapping[str, str], *, mapped: bool) -> str:
    shown = all(name.isprintable() for pair in names.items() for name in pair)
    return f"to make them one: {option(names)}" if mapped and shown else "to make them one, give them one name"


def _mistyped(counts: Mapping[str, int], *, mapped: bool) -> list[str]:
    """Rare labels one edit away from a frequent one."""
    if len(counts) > MOST:
        return []
    return [
        f"label {_quoted(rare)} ({counts[rare]:,}) may be a typing error for {_quoted(label)} ({counts[label]:,}); "
        + _as_one({rare: label}, mapped=mapped)
        for label in counts
        for rare in counts
        if counts[rare] * RARER <= counts[label] and min(len(rare), len(label)) >= FEWEST and _one_edit(rare, label)
    ]


def _one_edit(first: str, second: str) -> bool:
    """Return whether one character is missing, added or replaced, or two neighbours are swapped."""
    if abs(len(first) - len(second)) > 1 or _key(first) == _key(second):
        return False
    begin = next((index for index, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), -1)
    if begin < 0:
        begin = min(len(first), len(second))
    first, second = first[begin:], second[begin:]
    edits = (first[1:], second), (first, second[1:]), (first[1:], second[1:]), (first[1::-1] + first[2:], second)
    changed = first[:2] + second[:2]
    return changed.isalpha() and any(a == b for a, b in edits)


def _measured(counts: Mapping[str, int]) -> list[str]:
    """Report labels that look like a number to predict."""
    values = [number(label) for label in counts]
    decimals = sum(value is not None and value % 1 != 0 for value in values)
    if None in values or decimals <= DECIMALS:
        return []
    what = "the label looks like a number to predict (regression), and each is a class of its own"
    return [
        f"{decimals:,} of {counted(len(counts), 'label')} have decimals: {what}; "
        "name another column: --label-column NAME"
    ]


def _quoted(label: str) -> str:
    return f"'{label}'" if label.isprintable() else ascii(label)
