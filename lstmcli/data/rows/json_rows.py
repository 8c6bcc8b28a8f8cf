"""Rows of JSON: an object per line, an array of objects, or an array inside one object."""

import json
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any, TextIO

from lstmcli.data.rows.opening import broken, not_decoded
from lstmcli.data.rows.row import Row

BLANK = " \t\r\n\ufeff"


def read(file: TextIO) -> Iterator[Row]:
    """Return the rows of the file; what is no object, or cannot be read, is a row with a problem."""
    for number, (line, value, problem) in enumerate(_values(file), 1):
        value = {"text": value[0]} | value[1] if _is_pair(value) else value
        if not problem and not isinstance(value, dict):
            problem = "not a JSON object"
        elif not problem and _has_half(value):
            problem = "half of a surrogate pair"
        yield Row(line, number, problem=problem) if problem else Row(line, number, value)


def _has_half(value: Any) -> bool:
    """Return whether a key or a text in the value, at any depth, holds half of a surrogate pair."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            left += [*one, *one.values()]
        elif isinstance(one, list):
            left += one
        elif isinstance(one, str) and broken(one):
            return True
    return False


def _values(file: TextIO) -> Iterator[tuple[int, Any, str]]:
    """Return the line, value and problem of each row: of the lines where the first is an object, else of the
    document."""
    lines = enumerate(file, 1)
    held: list[tuple[int, str]] = []
    first: list[str] = []
    for number, line in lines:
        held.append((number, line))
        if text := line.strip(BLANK):
            first.append(text)
        if len(first) == 2:
            break
    if _one_row_per_line(*first, *[""] * (2 - len(first))):
        yield from _by_line(file, chain(held, lines))
    else:
        yield from _document(chain((line for _, line in held), (line for _, line in lines)))


def _one_row_per_line(first: str, second: str) -> bool:
    """Whether each line is a row by itself, by the first two that are not blank; else the file is one document."""
    value = _parsed(first)
    if isinstance(value, dict):
        return _wrapped(value) is None
    if isinstance(value, list):
        return _is_pair(value) or not any(isinstance(one, dict) for one in value)
    return not first.startswith(("[", "{")) or (first != "[" and isinstance(_parsed(second), dict))


def _is_pair(value: Any) -> bool:
    """Return True for a row as spaCy writes it: a text, and an object of its annotations."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], dict)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object. Raises ValueError where a key appears twice: one of its values would be lost."""
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key '{next(name for name in names if names.count(name) > 1)}' appears twice")
    return value


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _wrapped(value: dict[str, Any]) -> list[Any] | None:
    """Return the rows of a document that is one object: its one value that is a list of objects."""
    lists = [inner for inner in value.values() if isinstance(inner, list) and inner and isinstance(inner[0], dict)]
    texts = [inner for inner in value.values() if isinstance(inner, str)]
    return lists[0] if len(lists) == 1 and len(value) - len(texts) <= 3 and not _row_like(value) else None


def _row_like(value: dict[str, Any]) -> bool:
    """Return whether the object is a row itself, such as a text with annotated spans."""
    return isinstance(value.get("text"), str) or "tokens" in value


def _by_line(file: TextIO, lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, Any, str]]:
    for number, line in lines:
        if not line.strip(BLANK):
            continue
        if broken(line):
            yield number, None, not_decoded(file)
            continue
        try:
            yield number, json.loads(line.strip(BLANK), object_pairs_hook=_once), ""
        except (ValueError, RecursionError) as error:
            yield number, None, f"not JSON: {error}"


def _document(lines: Iterator[str]) -> Iterator[tuple[int, Any, str]]:
    """Return the elements of an array, one at a time, or objects one after the other, each over any number of lines.

    Several may stand on one line, so an element's line is its number. After a fault nothing more can be read: it is the
    last row, with the line of the file unless an element has that number.
    """
    decoder = json.JSONDecoder(object_pairs_hook=_once)
    text, position, line, number = "", 0, 1, 0
    array = False
    while True:
        while position < len(text) and text[position] in BLANK + ",":
            line += text[position] == "\n"
            position += 1
        if position < len(text) and not array and text[position] == "[":
            array, position = True, position + 1
            continue
        if position < len(text) and array and text[position] == "]":
            return
        try:
            value, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            more = "".join(islice(lines, max(64, len(text) // 64)))  # twice as much, about
            if more:
                text, position = text[position:] + more, 0
                continue
            if position < len(text) or array:
                reason = str(error) if position < len(text) else "the array is not closed"
                yield max(line, number + 1), None, f"not JSON: {reason}; what follows is lost"
            return
        rows = None if array or not isinstance(value, dict) else _wrapped(value)
        line += text.count("\n", position, end)
        position = end
        for one in [value] if rows is None else rows:
            number += 1
            yield number, one, ""
