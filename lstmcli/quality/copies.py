"""Findings on repeated texts: contradictory labels, copies in other splits, duplicates, near duplicates."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from lstmcli.quality.findings import Finding, finding, place
from lstmcli.quality.similar import Repeats
from lstmcli.types import Example, Target

LISTED = 3  # rows that a reason names


def found(examples: Sequence[Example], splits: Sequence[str], repeats: Repeats) -> list[Finding]:
    """Return the findings. splits: of each example, by name."""
    copies: dict[int, list[int]] = defaultdict(list)
    for index, first in enumerate(repeats.same.tolist()):
        copies[first].append(index)
    several = [group for group in copies.values() if len(group) > 1]
    return [
        *(one for group in several for one in _contradictions(examples, splits, group)),
        *(one for group in several for one in _copies(examples, splits, group)),
        *_near(examples, splits, repeats),
    ]


def _contradictions(examples: Sequence[Example], splits: Sequence[str], group: list[int]) -> list[Finding]:
    """Return the copies whose label is not that of most; all copies where no label has most."""
    counts = Counter(str(examples[index].target) for index in group)
    if len(counts) == 1:
        return []
    (most, highest), (_, second) = counts.most_common(2)
    suggested = most if highest > second else ""
    return [
        finding(
            "contradiction",
            examples[index],
            splits[index],
            f"the same text has the label {_others(examples, group, str(examples[index].target))}",
            suggested=suggested,
        )
        for index in group
        if str(examples[index].target) != suggested
    ]


def _others(examples: Sequence[Example], group: list[int], label: str) -> str:
    rows: dict[str, list[str]] = defaultdict(list)
    for index in group:
        if str(examples[index].target) != label:
            rows[str(examples[index].target)].append(_row(examples[index]))
    return ", ".join(f"'{other}' in {' and '.join(_first(names))}" for other, names in rows.items())


def _first(names: list[str]) -> list[str]:
    more = len(names) - LISTED
    return names if more <= 0 else [*names[:LISTED], f"{more:,} more"]


def _row(example: Example) -> str:
    row = place(example.where)[1]
    return example.where if row is None else f"row {row}"


def _copies(examples: Sequence[Example], splits: Sequence[str], group: list[int]) -> list[Finding]:
    """Return copies in validation or test of a text in train, and repetitions within a split with the same label."""
    results = []
    first: dict[tuple[str, Target | None], int] = {}
    trained = next((index for index in group if splits[index] == "train"), None)
    for index in group:
        example, split = examples[index], splits[index]
        if split != "train" and trained is not None:
            results.append(finding("leak", example, split, f"also in train, {_row(examples[trained])}"))
            continue
        original = first.setdefault((split, example.target), index)
        if original != index:
            exact = examples[original].text == example.text
            how = "repeats" if exact else "but for capitals, spaces or marks at the ends repeats"
            kind = "duplicate" if exact else "near duplicate"
            results.append(finding(kind, example, split, f"{how} {_row(examples[original])}"))
    return results


def _near(examples: Sequence[Example], splits: Sequence[str], repeats: Repeats) -> list[Finding]:
    results = []
    for index, (other, similarity) in repeats.near.items():
        example, original = examples[index], examples[other]
        crossing = splits[index] != splits[other] and "train" in (splits[index], splits[other])
        label = "" if original.target == example.target else f", whose label is '{original.target}'"
        reason = f"shares {similarity:.0%} of the word triples with {_row(original)} of {splits[other]}{label}"
        kind = "leak" if crossing else "near duplicate"
        results.append(finding(kind, example, splits[index], reason, confidence=similarity))
    return results
