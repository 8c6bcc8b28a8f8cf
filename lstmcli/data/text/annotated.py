"""Named entities in rows: lists of words and of their tags, or texts with the offsets of their entities.

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
from lstmcli.data import rows
from lstmcli.data.text import column_survey
from lstmcli.data.text import sentences as words
from lstmcli.errors import DataError, counted
from lstmcli.types import Example, Rows

ENDINGS = (".jsonl", ".ndjson", ".json", ".parquet", ".arrow", ".feather")
TEXTS = ("text", "data", "content", "sentence")
SPANS = ("entities", "spans", "labels", "label", "annotations")
WORDS = ("tokens", "words")
TAGS = ("ner_tags", "tags", "ner", "ner_labels", "labels")
NAMES = ("names", "label_names", "labels")  # of tags that are numbers
STARTS, ENDS, KINDS = ("start", "start_offset"), ("end", "end_offset"), ("label", "labels", "type", "entity")
REJECTED = "not accepted by the annotator"  # in Prodigy's rows; left out without an error
SEARCHED = 200  # first rows, of which one must hold entities or tags

Values = Mapping[str, Any]
Sentence = tuple[tuple[str, ...], tuple[str, ...]]  # words, and tags as the file spells them


@dataclass(frozen=True)
class Keys:
    """The keys of a row's text or list of words, and of its entities or list of tags."""

    text: str
    entities: str
    offsets: bool


def fits(path: Path) -> bool:
    """Return whether the rows hold words and tags, or texts with the offsets of entities."""
    try:
        return _keys([row.values for row in islice(_stream(path, Data()), SEARCHED)], Data()) is not None
    except DataError:
        return False


def read(paths: Sequence[Path], options: Data, names: Sequence[str] = ()) -> Rows:
    """Return the sentences of all rows, tags in IOBES. A row with a fault is left out and reported.

    names: of numbered tags, where the file itself has none.

    Raises:
        DataError: a file cannot be read, or has none of the known keys, or numbered tags without names.
    """
    found: list[tuple[str, list[Sentence], str]] = []  # file:line, sentences, what is wrong
    for path in paths:
        found += _read(path, options, names)
    spelled = [(where, tag) for where, sentences, _ in found for _, scheme in sentences for tag in scheme]
    notation = tags.notation(Counter(tag for _, tag in spelled)) or tags.Notation()
    examples: list[Example] = []
    bad: list[tuple[str, str]] = []
    for where, sentences, problem in found:
        try:
            read = [Example(text, tags.iobes([*map(notation.read, scheme)]), where=where) for text, scheme in sentences]
        except ValueError as error:
            problem, read = str(error), []
        examples += read
        bad += [(where, problem)] if problem not in ("", REJECTED) else []
    first = {tag: where for where, tag in reversed(spelled)}
    rejected = [where for where, _, problem in found if problem == REJECTED]
    notes = [f"{rejected[0]}: left out, {REJECTED}; {len(rejected)} such rows"] if rejected else []
    return Rows(examples, bad, (*notes, *tags.remarks(first, notation)))


def _stream(path: Path, options: Data) -> Iterator[rows.Row]:
    """Return the rows, whatever their columns."""
    return rows.stream(path, options.model_copy(update={"text_column": "1"}))


def _keys(first: Sequence[Values], options: Data) -> Keys | None:
    """Return the keys of the first row that has them; of rows without any entity, those of such rows."""
    for values in first:
        for text in (options.text_column, *TEXTS, *WORDS):
            for entities in (options.label_column, *TAGS, *SPANS):
                kind = "" if text == entities else _kind(values.get(text), values.get(entities))
                if kind:
                    return Keys(text, entities, kind == "offsets")
    for values in first:
        for text, entities in (("text", "entities"), ("text", "spans")):
            if isinstance(values.get(text), str) and values.get(entities) == []:
                return Keys(text, entities, offsets=True)
    return None


def _kind(text: object, entities: object) -> str:
    """Whether the values are words and tags, a text and offsets, or neither."""
    if not isinstance(entities, list) or not entities:
        return ""
    if isinstance(text, list) and text and all(isinstance(word, str) for word in text):
        return "tags" if isinstance(entities[0], str | int) else ""
    first = entities[0]
    if isinstance(first, dict):
        span = bool(first.keys() & set(STARTS))
    else:
        span = (
            isinstance(first, list)
            and len(first) > 2
            and all(str(offset).lstrip("-").isdecimal() for offset in first[:2])
        )
    return "offsets" if isinstance(text, str) and span else ""


def _read(path: Path, options: Data, names: Sequence[str]) -> Iterator[tuple[str, list[Sentence], str]]:
    stream = _stream(path, options)
    first = list(islice(stream, SEARCHED))
    keys = _keys([row.values for row in first], options)
    if keys is None:
        what = "no lists of words and tags, and no texts with the offsets of entities"
        fix = (
            'give rows like {"tokens": ["Ada"], "ner_tags": ["B-PER"]} or {"text": "Ada", "entities": [[0, 3, "PER"]]}'
        )
        raise DataError(what, where=str(path), fix=fix)
    for row in chain(first, stream):
        where = f"{path}:{row.line}"
        listed = (_texts(row.values.get(key)) for key in NAMES if key != keys.entities)
        names = next(filter(None, listed), names)
        if row.problem:
            yield where, [], row.problem
        elif row.values.get("answer", "accept") != "accept":
            yield where, [], REJECTED
        elif keys.text in row.values or keys.entities in row.values:
            try:
                yield where, _sentences(row.values, keys, names, where), ""
            except ValueError as error:
                yield where, [], str(error)
        elif not any(key in row.values for key in NAMES):
            yield where, [], f"no '{keys.text}'"


def _texts(value: object) -> list[str]:
    """Return the value, if it is a list of texts; else an empty list."""
    return value if isinstance(value, list) and all(isinstance(one, str) for one in value) else []


def _sentences(values: Values, keys: Keys, names: Sequence[str], where: str) -> list[Sentence]:
    """Return the row's sentences.

    Raises:
        DataError: tags are numbers without names.
        ValueError: what else is wrong with the row.
    """
    if keys.offsets:
        return _split(values.get(keys.text), values.get(keys.entities) or [])
    tokens, scheme = values.get(keys.text), values.get(keys.entities)
    if not isinstance(tokens, list) or not tokens or not all(isinstance(word, str) and word.strip() for word in tokens):
        raise ValueError(f"'{keys.text}' are not words")
    if any(map(rows.broken, tokens)):
        raise ValueError("half of a surrogate pair")
    if not isinstance(scheme, list) or len(scheme) != len(tokens):
        count = counted(len(scheme), "tag") if isinstance(scheme, list) else f"no list '{keys.entities}'"
        raise ValueError(f"{counted(len(tokens), 'word')} and {count}")
    if tokens[0].startswith(column_survey.DOCUMENT):
        return []
    if not names and any(isinstance(tag, int) for tag in scheme):
        fix = 'give tags as words: "B-PER"; or name the numbers in the first row: "names": ["O", "B-PER", ...]'
        raise DataError(f"'{keys.entities}' are numbers without names", where=where, fix=fix)
    return [(tuple(map(words.plain, tokens)), tuple(_named(tag, names, keys.entities) for tag in scheme))]


def _named(tag: object, names: Sequence[str], key: str) -> str:
    if isinstance(tag, int) and not isinstance(tag, bool) and 0 <= tag < len(names):
        return names[tag]
    if not isinstance(tag, str):
        raise ValueError(f"'{key}' are not numbers from 0 to {len(names) - 1}" if names else f"'{key}' are not words")
    return tag.strip()


def _split(text: object, annotations: Sequence[object]) -> list[Sentence]:
    """Return the sentences of a text, cut into words as ``predict`` does. Raises ValueError where an entity is not
    words."""
    if not isinstance(text, str) or not text.strip():
        raise ValueError("no text")
    if not isinstance(annotations, list):
        raise ValueError("entities are not a list")
    entities = sorted({_entity(annotation, text) for annotation in annotations})
    for (begin, end, _), (begin_next, end_next, _) in pairwise(entities):
        if begin_next < end:
            raise ValueError(f"the entities '{text[begin:end]}' and '{text[begin_next:end_next]}' overlap")
    sentences = words.sentences(text)
    positions = [(number, index) for number, spans in enumerate(sentences) for index in range(len(spans))]
    begins = {sentences[number][index][0]: (number, index) for number, index in positions}
    ends = {sentences[number][index][1]: (number, index) for number, index in positions}
    found = [["O"] * len(spans) for spans in sentences]
    for begin, end, kind in entities:
        first, last = begins.get(begin), ends.get(end)
        if first is None or last is None:
            cut = next((text[a:b] for spans in sentences for a, b in spans if a < begin < b or a < end < b), "")
            raise ValueError(
                f"the entity '{text[begin:end]}' ({begin} to {end}) begins or ends inside the word '{cut}'"
            )
        if first[0] != last[0]:
            raise ValueError(f"the entity '{text[begin:end]}' ({begin} to {end}) runs over the end of a sentence")
        found[first[0]][first[1] : last[1] + 1] = [f"B-{kind}", *[f"I-{kind}"] * (last[1] - first[1])]
    return [
        (tuple(words.plain(text[begin:end]) for begin, end in spans), tuple(scheme))
        for spans, scheme in zip(sentences, found, strict=True)
    ]


def _entity(annotation: object, text: str) -> tuple[int, int, str]:
    """Return the first character, the character after the last, and the type; blanks at the ends are no part of it."""
    if isinstance(annotation, Mapping):
        begin, end, kind = (
            next((annotation[key] for key in keys if key in annotation), None) for keys in (STARTS, ENDS, KINDS)
        )
    elif isinstance(annotation, list) and len(annotation) == 3:
        begin, end, kind = annotation
    else:
        raise ValueError(
            f"{annotation!r} is no entity: give a first character, the character after the last, and a type"
        )
    kind = kind[0] if isinstance(kind, list) and len(kind) == 1 else kind
    if type(begin) is not int or type(end) is not int or not isinstance(kind, str) or not kind.strip():
        raise ValueError(
            f"{annotation!r} is no entity: give a first character, the character after the last, and a type"
        )
    if not 0 <= begin < end <= len(text):
        raise ValueError(f"the entity {begin} to {end} lies outside of the text of {len(text)} characters")
    beside = annotation.get("text") if isinstance(annotation, Mapping) else None
    covered = text[begin:end]
    if isinstance(beside, str) and beside != covered:
        raise ValueError(f"the entity {begin} to {end} is '{covered}' in the text, and '{beside}' beside it")
    if not covered.strip():
        raise ValueError(f"the entity {begin} to {end} holds no word")
    return begin + len(covered) - len(covered.lstrip()), end - len(covered) + len(covered.rstrip()), kind.strip()
