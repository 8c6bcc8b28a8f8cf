"""One row of a table, its text and its label."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lstmcli.data.rows.opening import broken
from lstmcli.errors import DataError
from lstmcli.types import LabelSet, bare

WHOLE_NUMBER = re.compile(r"([+-]?\d+)\.0+")  # 1.0 is the label 1, as it is in a column of numbers
LONGEST_NUMBER = 10  # digits of the number of a column
LISTED = 20  # columns that a message names
SEVERAL = "--label-separator ','"  # of train, evaluate and adapt
TO_LABEL = {"row", "text", "proposal", "unsure"}  # columns of predict --select, where texts have several labels
SHOWN = 60  # characters of a column's name that a message shows
LIKELY = {
    "--text-column": ("text", "sentence", "review", "content", "body", "comment", "message", "tweet", "utterance"),
    "--label-column": ("label", "sentiment", "category", "class", "intent", "target", "polarity", "rating"),
}  # names that tables are known to have


@dataclass(frozen=True, slots=True)
class Row:
    """line: where the row ends in the file, one with a problem where it begins, from 1 (in parquet and in a document of
    JSON: its number), of this row alone; number: of the row, from 1; a row that cannot be read has a problem and no
    values."""

    line: int
    number: int
    values: dict[str, Any] = field(default_factory=dict)
    problem: str = ""


def text_of(row: Row, column: str) -> tuple[str, str]:
    """Return the row's text, and what is wrong with it (empty: nothing)."""
    if row.problem:
        return "", row.problem
    value = row.values.get(column)
    if value is None:
        return "", f"no '{column}'"
    if not isinstance(value, str):
        return "", f"'{column}' is {type(value).__name__}, not text"
    if not value.strip():
        return "", f"empty '{column}'"
    return value, ""


def label_of(row: Row, column: str) -> tuple[str, str]:
    """Return the row's label as a word, and what is wrong with it (empty: nothing). A list of one label is that
    label."""
    value = row.values.get(column)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return _label(value, column)


def labels_of(row: Row, column: str, separator: str) -> tuple[LabelSet, str]:
    """Return the row's set of labels, and what is wrong with it (empty: nothing).

    A cell of text is split at the separator, but for a list as JSON has it; each part is a label, without blanks around
    it. A list has one label per element. An empty cell or list is the empty set; a missing value is a problem, and an
    empty cell beside a proposal, which nobody has filled in yet.
    """
    value = row.values.get(column)
    if isinstance(value, str) and not value.strip() and row.values.keys() >= TO_LABEL:
        return LabelSet(), f"no '{column}' yet; a text without any of the labels has '{separator}'"
    if isinstance(value, str):
        listed = _list(value)
        value = [part for part in value.split(separator) if part.strip()] if listed is None else listed
    elif value is not None and not isinstance(value, list):
        value = [value]
    if value is None:
        return LabelSet(), f"no '{column}'; a text without any of the labels has an empty cell or list"
    found, problems = zip(*(_label(one, column) for one in value), strict=True) if value else ((), ())
    return LabelSet(found), next(filter(None, problems), "")


def _list(text: str) -> list[Any] | None:
    """Return the elements of a list as JSON has it; None of other text."""
    if not text.lstrip().startswith("["):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, list) else None


def _label(value: Any, column: str) -> tuple[str, str]:
    """Return a label as a word, and what is wrong with it (empty: nothing). Bytes are UTF-8; 1.0 is 1."""
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            return "", f"'{column}' is bytes that are not UTF-8"
    if isinstance(value, list | tuple | dict):
        several = f"; a text has one label, or several with {SEVERAL}" if isinstance(value, list) else ""
        return "", f"'{column}' is a {type(value).__name__}, not a word or number{several}"
    if isinstance(value, bool):
        value = str(value).lower()
    if isinstance(value, float):
        if value != value:
            return "", f"'{column}' is NaN"
        value = int(value) if value.is_integer() else value
    label = "" if value is None else bare(str(value))
    if not label or label.lower() == "nan":
        return "", f"no '{column}'"
    if broken(label):  # of JSON in a cell
        return "", f"'{column}' has half of a surrogate pair"
    whole = WHOLE_NUMBER.fullmatch(label)
    return whole[1] if whole else label, ""


def is_number(name: str) -> bool:
    """Return whether a column is named by its number."""
    return name.isdecimal() and len(name) < LONGEST_NUMBER


def named(cells: Sequence[str]) -> list[str]:
    """Return the cells of a header as names: without blanks around them, and without a # before the first."""
    names = [cell.strip() for cell in cells]
    return [names[0].lstrip("# "), *names[1:]] if names else []


def check_names(names: list[str], where: str) -> list[str]:
    """Return the names of columns. Raises DataError where one appears twice."""
    twice = list(dict.fromkeys(name for name in names if name and names.count(name) > 1))
    if twice:
        what = f"the column name '{twice[0]}' appears {names.count(twice[0])} times"
        raise DataError(what, where=where, fix="rename the columns so that each name is there once")
    return names


def missing_column(name: str, found: Sequence[str], where: str, *, option: str = "--text-column") -> DataError:
    """Return the error for a table without that column; option: how the user names another."""
    if len(found) == 1:
        delimiter = next((sign for sign in found[0] if not sign.isalnum() and sign not in "_- '\""), "|")
        where = f"{where}; its one column: {found[0][:SHOWN]}"
        fix = f"name what separates the columns: --set data.delimiter='{delimiter}'; or the column: {option} NAME"
        return DataError(f"no column '{name}'", where=where, fix=fix)
    listed = ", ".join(found[:LISTED]) or "none"
    likely = next((one for word in LIKELY[option] for one in found if one.strip().lower() == word), "NAME")
    return DataError(f"no column '{name}'", where=f"{where}; its columns: {listed}", fix=f"name it: {option} {likely}")
