"""Named entities in rows: lists of words and of their tags, or texts with the places of their entities.

Words and tags: ``tokens`` and ``ner_tags``, as the Hugging Face hub has them. Texts with offsets in characters,
from 0 to the character after the last: spaCy's ``entities``, doccano's ``label`` or ``labels``, Prodigy's ``spans``.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Any

from lstmcli import tags
from lstmcli.config import Data
from lstmcli.data import rows, survey, words
from lstmcli.errors import DataError
from lstmcli.types import Example, Rows

ENDINGS = (".jsonl", ".ndjson", ".json", ".parquet", ".arrow", ".feather")
TEXTS = ("text", "data", "content", "sentence")
SPANS = ("entities", "spans", "labels", "label", "annotations")
WORDS = ("tokens", "words")
TAGS = ("ner_tags", "tags", "ner", "ner_labels", "labels")
NAMES = ("names", "label_names", "labels")  # of tags that are numbers
STARTS, ENDS, KINDS = ("start", "start_offset"), ("end", "end_offset"), ("label", "labels", "type", "entity")
REJECTED = "not accepted by the annotator"  # in Prodigy's rows; left out, no fault
SOUGHT = 200  # rows among which one must hold entities or tags

Values = Mapping[str, Any]
Sentence = tuple[tuple[str, ...], tuple[str, ...]]  # words, and tags as the file spells them


@dataclass(frozen=True)
class Keys:
    """Where a row has its text or list of words, and its entities or list of tags."""

    text: str
    marks: str
    offsets: bool


def fits(path: Path) -> bool:
    """True where the rows hold words and tags, or texts with the places of entities."""
    try:
        return _keys([row.values for row in islice(_stream(path, Data()), SOUGHT)], Data()) is not None
    except DataError:
        return False


def read(paths: Sequence[Path], options: Data, names: Sequence[str] = ()) -> Rows:
    """The sentences of all rows, tags in IOBES. A row with a fault is left out and told.

    names: what numbered tags mean where the file does not tell.

    Raises:
        DataError: a file cannot be read, or has none of the known keys, or numbered tags without names.
    """
    found: list[tuple[str, list[Sentence], str]] = []  # file:line, sentences, what is wrong
    for path in paths:
        found += _read(path, options, names)
    spelled = [(where, tag) for where, sentences, _ in found for _, own in sentences for tag in own]
    notation = tags.notation(Counter(tag for _, tag in spelled)) or tags.Notation()
    examples: list[Example] = []
    bad: list[tuple[str, str]] = []
    for where, sentences, problem in found:
        try:
            own = [Example(text, tags.iobes([*map(notation.read, scheme)]), where=where) for text, scheme in sentences]
        except ValueError as error:
            problem, own = str(error), []
        examples += own
        bad += [(where, problem)] if problem not in ("", REJECTED) else []
    first = {tag: where for where, tag in reversed(spelled)}
    rejected = [where for where, _, problem in found if problem == REJECTED]
    notes = [f"{rejected[0]}: left out, {REJECTED}; {len(rejected)} such rows"] if rejected else []
    return Rows(examples, bad, (*notes, *tags.remarks(first, notation)))


def _stream(path: Path, options: Data) -> Iterator[rows.Row]:
    """The rows, whatever their columns."""
    return rows.stream(path, options.model_copy(update={"text_column": "1"}))


def _keys(first: Sequence[Values], options: Data) -> Keys | None:
    """The keys of the first row that has them; of rows without any entity, those of such rows."""
    for values in first:
        for text in (options.text_column, *TEXTS, *WORDS):
            for marks in (options.label_column, *TAGS, *SPANS):
                kind = "" if text == marks else _kind(values.get(text), values.get(marks))
                if kind:
                    return Keys(text, marks, kind == "offsets")
    for values in first:
        for text, marks in (("text", "entities"), ("text", "spans")):
            if isinstance(values.get(text), str) and values.get(marks) == []:
                return Keys(text, marks, offsets=True)
    return None


def _kind(text: object, marks: object) -> str:
    """Whether the values are words and tags, a text and offsets, or neither."""
    if not isinstance(marks, list) or not marks:
        return ""
    if isinstance(text, list) and text and all(isinstance(word, str) for word in text):
        return "tags" if isinstance(marks[0], str | int) else ""
    first = marks[0]
    if isinstance(first, dict):
        span = bool(first.keys() & set(STARTS))
    else:
        span = (
            isinstance(first, list) and len(first) > 2 and all(str(place).lstrip("-").isdigit() for place in first[:2])
        )
    return "offsets" if isinstance(text, str) and span else ""


def _read(path: Path, options: Data, names: Sequence[str]) -> Iterator[tuple[str, list[Sentence], str]]:
    stream = _stream(path, options)
    first = list(islice(stream, SOUGHT))
    keys = _keys([row.values for row in first], options)
    if keys is None:
        what = "no lists of words and tags, and no texts with the places of entities"
        fix = (
            'give rows like {"tokens": ["Ada"], "ner_tags": ["B-PER"]} or {"text": "Ada", "entities": [[0, 3, "PER"]]}'
        )
        raise DataError(what, where=str(path), fix=fix)
    for row in chain(first, stream):
        where = f"{path}:{row.line}"
        listed = (_texts(row.values.get(key)) for key in NAMES if key != keys.marks)
        names = next(filter(None, listed), names)
        if row.problem:
            yield where, [], row.problem
        elif row.values.get("answer", "accept") != "accept":
            yield where, [], REJECTED
        elif keys.text in row.values or keys.marks in row.values:
            try:
                yield where, _sentences(row.values, keys, names, where), ""
            except ValueError as error:
                yield where, [], str(error)
        elif not any(key in row.values for key in NAMES):
            yield where, [], f"no '{keys.text}'"


def _texts(value: object) -> list[str]:
    """The value, if it is a list of texts; else an empty list."""
    return value if isinstance(value, list) and all(isinstance(one, str) for one in value) else []


def _sentences(values: Values, keys: Keys, names: Sequence[str], where: str) -> list[Sentence]:
    """The row's sentences.

    Raises:
        DataError: tags are numbers without names.
        ValueError: what else is wrong with the row.
    """
    if keys.offsets:
        return _marked(values.get(keys.text), values.get(keys.marks) or [])
    own, marks = values.get(keys.text), values.get(keys.marks)
    if not isinstance(own, list) or not own or not all(isinstance(word, str) and word.strip() for word in own):
        raise ValueError(f"'{keys.text}' are not words")
    if any(map(rows.broken, own)):
        raise ValueError("half of a surrogate pair")
    if not isinstance(marks, list) or len(marks) != len(own):
        count = f"{len(marks)} tags" if isinstance(marks, list) else f"no list '{keys.marks}'"
        raise ValueError(f"{len(own)} words and {count}")
    if own[0].startswith(survey.DOCUMENT):
        return []
    if not names and any(isinstance(mark, int) for mark in marks):
        fix = 'give tags as words: "B-PER"; or say in the first row what the numbers mean: "names": ["O", "B-PER", ...]'
        raise DataError(f"'{keys.marks}' are numbers without names", where=where, fix=fix)
    return [(tuple(map(words.plain, own)), tuple(_named(mark, names, keys.marks) for mark in marks))]


def _named(mark: object, names: Sequence[str], key: str) -> str:
    if isinstance(mark, int) and not isinstance(mark, bool) and 0 <= mark < len(names):
        return names[mark]
    if not isinstance(mark, str):
        raise ValueError(f"'{key}' are not numbers from 0 to {len(names) - 1}" if names else f"'{key}' are not words")
    return mark.strip()


def _marked(text: object, marks: Sequence[object]) -> list[Sentence]:
    """The sentences of a text, cut into words as ``predict`` does. Raises ValueError where an entity is not words."""
    if not isinstance(text, str) or not text.strip():
        raise ValueError("no text")
    if not isinstance(marks, list):
        raise ValueError("entities are not a list")
    entities = sorted({_entity(mark, text) for mark in marks})
    for (begin, end, _), (begin_next, end_next, _) in pairwise(entities):
        if begin_next < end:
            raise ValueError(f"the entities '{text[begin:end]}' and '{text[begin_next:end_next]}' overlap")
    sentences = words.sentences(text)
    places = [(number, place) for number, own in enumerate(sentences) for place in range(len(own))]
    begins = {sentences[number][place][0]: (number, place) for number, place in places}
    ends = {sentences[number][place][1]: (number, place) for number, place in places}
    found = [["O"] * len(own) for own in sentences]
    for begin, end, kind in entities:
        first, last = begins.get(begin), ends.get(end)
        if first is None or last is None:
            cut = next((text[a:b] for own in sentences for a, b in own if a < begin < b or a < end < b), "")
            raise ValueError(
                f"the entity '{text[begin:end]}' ({begin} to {end}) begins or ends inside the word '{cut}'"
            )
        if first[0] != last[0]:
            raise ValueError(f"the entity '{text[begin:end]}' ({begin} to {end}) runs over the end of a sentence")
        found[first[0]][first[1] : last[1] + 1] = [f"B-{kind}"] + [f"I-{kind}"] * (last[1] - first[1])
    return [
        (tuple(words.plain(text[begin:end]) for begin, end in own), tuple(scheme))
        for own, scheme in zip(sentences, found, strict=True)
    ]


def _entity(mark: object, text: str) -> tuple[int, int, str]:
    """The first character, the character after the last, and the type; blanks at the ends are no part of it."""
    if isinstance(mark, Mapping):
        begin, end, kind = (next((mark[key] for key in keys if key in mark), None) for keys in (STARTS, ENDS, KINDS))
    elif isinstance(mark, list) and len(mark) == 3:
        begin, end, kind = mark
    else:
        raise ValueError(f"{mark!r} is no entity: give a first character, the character after the last, and a type")
    kind = kind[0] if isinstance(kind, list) and len(kind) == 1 else kind
    if type(begin) is not int or type(end) is not int or not isinstance(kind, str) or not kind.strip():
        raise ValueError(f"{mark!r} is no entity: give a first character, the character after the last, and a type")
    if not 0 <= begin < end <= len(text):
        raise ValueError(f"the entity {begin} to {end} lies outside of the text of {len(text)} characters")
    said = mark.get("text") if isinstance(mark, Mapping) else None
    own = text[begin:end]
    if isinstance(said, str) and said != own:
        raise ValueError(f"the entity {begin} to {end} is '{own}' in the text, and '{said}' beside it")
    if not own.strip():
        raise ValueError(f"the entity {begin} to {end} holds no word")
    return begin + len(own) - len(own.lstrip()), end - len(own) + len(own.rstrip()), kind.strip()
