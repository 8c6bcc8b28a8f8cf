"""A finding: one row, what is wrong with it, and why."""

import re
from dataclasses import dataclass
from typing import Any

from lstmcli.types import Example

KINDS = {  # the most important first: what to do
    "unusable": "correct or delete these rows; train does not accept them",
    "contradiction": "choose one label for all copies of the text",
    "leak": "delete the copies in train: they make scores too good",
    "label error": "read them from the top and correct the labels",
    "duplicate": "delete all but the first copy",
    "near duplicate": "delete all but one, unless the difference matters",
    "outlier": "read them: another language, another subject, or broken text",
    "truncated": "train reads head and tail alone; to read more: lstmcli train --set tokens.max_tokens=N",
}
_PLACE = re.compile(r"(.*?)(?::(\d+)|\[(\d+)\])?", re.DOTALL)  # file:line, or texts[index]


@dataclass(frozen=True)
class Finding:
    """What is wrong with one row.

    kind: a key of ``KINDS``; where: the row's place, as the reader names it; suggested: the label that it should have,
    empty where none is suggested; confidence: the probability of that label, of a near duplicate the Jaccard index;
    none of other kinds.
    """

    kind: str
    where: str
    split: str
    label: str
    suggested: str
    confidence: float | None
    reason: str
    text: str

    @property
    def file(self) -> str:
        """The file of the row."""
        return place(self.where)[0]

    @property
    def row(self) -> int | None:
        """The line of the file, of data that has none, and in memory, the number; None of a file that is one text."""
        return place(self.where)[1]

    def plain(self) -> dict[str, Any]:
        """Return the finding as a row of a report."""
        rounded = None if self.confidence is None else round(self.confidence, 4)
        values = {name: value for name, value in vars(self).items() if name not in ("kind", "where")}
        return {"kind": self.kind, "row": self.row, "file": self.file} | values | {"confidence": rounded}


def place(where: str) -> tuple[str, int | None]:
    """Return the file and the row of an example's ``where``."""
    found = _PLACE.fullmatch(where)
    if found is None:
        return where, None
    number = found[2] or found[3]
    return found[1], None if number is None else int(number)


def finding(
    kind: str, example: Example, split: str, reason: str, *, suggested: str = "", confidence: float | None = None
) -> Finding:
    """Return a finding on an example."""
    return Finding(kind, example.where, split, str(example.target), suggested, confidence, reason, str(example.text))


def unusable(where: str, reason: str, split: str) -> Finding:
    """Return the finding on a row that cannot be read."""
    return Finding("unusable", where, split, "", "", None, reason, "")
