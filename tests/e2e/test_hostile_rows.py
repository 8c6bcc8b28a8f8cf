"""Rows made to break readers: each is read as it was written, or reported with a reason; damaged files end in an error.

A file holds many generated rows, of which each counts as an input: ``LSTMCLI_INPUTS=20`` reads 112,000 rows, has
6,000 answered, and tries 7,200 damaged files and 2,000 headers. A failure names the seed of its file.
"""

import csv
import io
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lstmcli.api.predict import predict
from lstmcli.config import Data
from lstmcli.data.readers import table
from lstmcli.errors import LstmcliError
from lstmcli.storage.text_io import TextOptions
from lstmcli.types import Example, LabelSet
from tests.conftest import TIMES

ROWS = 100  # per file
FILES = 3  # of each kind
DAMAGED = 45  # of each kind
FEW = 12  # rows of a file that is damaged
HALF = "\ud83d"  # of a surrogate pair
PIECES = [
    *(
        "fine",
        "a film",
        "x" * 400,
        "null",
        "NaN",
        "-1.5e9",
        "0x1f",
        "2020-02-30",
        "true",
        "=1+1",
        "<br />",
        "__label__",
    ),
    *(
        " ",
        "\t",
        "\n",
        "\r",
        "\r\n",
        "\0",
        "\x1b[2J",
        "\x1b]0;t\x07",
        "\x85",
        "\u2028",
        "\ufeff",
        "\u202e",
        "\x7f",
        "\xa0",
    ),
    *('"', '""', "'", ",", ";", "|", "\\", "\\n", "#", "[", "{", "}", "%s", "{}", "../.."),
    *("é", "e\u0301\u0327", "漢字", "🙂", "\U0010ffff", "\ufffd"),
]
OTHERS: list[Any] = [
    *(None, True, False, 0, -1, 7, 10**30, 1.0, 0.1, 1e300, float("nan"), float("inf")),
    *([], ["good"], ["a", "b"], [None], [["a"]], {}, {"a": 1}, [HALF], {HALF: 1}, HALF),
    *("", " ", "2020-01-01", "1.0", "nan", "good", "bad", "0"),
]


class Cell(NamedTuple):
    """What was written as text and label of a row."""

    text: Any
    label: Any


class Kind(NamedTuple):
    """A kind of file. write: rows as bytes; typed: cells are of any type, else texts; reading: fields of ``data``."""

    ending: str
    write: Callable[[list[Cell], Random], bytes]
    typed: bool = False
    reading: dict[str, Any] = {}  # noqa: RUF012 (of a tuple)


def text(random: Random) -> str:
    return "".join(random.choice(PIECES) for _ in range(random.randint(0, 6)))


def unescaped(random: Random) -> str:
    """A text without backslashes: before quotation marks they would be taken for escapes."""
    return text(random).replace("\\", "/")


def cells(kind: Kind, random: Random, count: int) -> list[Cell]:
    """Most rows are usable: else none of the file's columns would be."""
    if not kind.typed:
        left_out = random.choice(["", "\r"])
        texts = (unescaped(random).replace(left_out, "") if left_out else unescaped(random) for _ in range(2 * count))
        return [Cell(next(texts), random.choice(["good", "bad", "1", next(texts)])) for _ in range(count)]
    return [
        Cell(text(random) if random.random() < 0.8 else random.choice(OTHERS), random.choice(OTHERS))
        for _ in range(count)
    ]


def delimited(sign: str, encoding: str = "utf-8", end: str = "\n") -> Callable[[list[Cell], Random], bytes]:
    """Rows with the number of each as domain, and a column whose name has control characters."""

    def write(rows: list[Cell], random: Random) -> bytes:
        file = io.StringIO(newline="")
        quoting = (
            csv.QUOTE_ALL if any("\r" in row.text + row.label for row in rows) else csv.QUOTE_MINIMAL
        )  # Python quotes \r only since 3.13
        writer = csv.writer(file, delimiter=sign, lineterminator=end, quoting=quoting)
        writer.writerow(["domain", "text", "label", "\x1b[2J\0"])
        writer.writerows(
            [number, row.text, row.label, unescaped(random).replace("\r", "")] for number, row in enumerate(rows, 1)
        )
        return file.getvalue().encode(encoding)

    return write


def objects(rows: list[Cell], random: Random) -> list[str]:
    return [
        json.dumps(
            {"text": row.text, "label": row.label, "domain": number, text(random) + "!": random.choice(OTHERS)},
            ensure_ascii=HALF in str(row) or random.random() < 0.5,
        )
        if random.random() < 0.9
        else json.dumps({"domain": number, "text": row.text, "label": row.label})
        for number, row in enumerate(rows, 1)
    ]


def lines(rows: list[Cell], random: Random) -> bytes:
    end = random.choice(["\n", "\r\n", "\n\n", "\n \n"])
    return (random.choice(["", "\ufeff"]) + end.join(objects(rows, random))).encode("utf-8", "backslashreplace")


def array(rows: list[Cell], random: Random) -> bytes:
    return ("[" + random.choice([",", ",\n", " ,\n\n"]).join(objects(rows, random)) + "]").encode(
        "utf-8", "backslashreplace"
    )


LABELS: list[tuple[Any, list[Any]]] = [  # of columns with types
    (pa.string(), ["good", "", None, "\0", " bad ", "1.0"]),
    (pa.int8(), [0, 1, None]),
    (pa.float64(), [1.0, 0.1, float("nan"), None]),
    (pa.float16(), [1.0, 0.5, None]),
    (pa.bool_(), [True, False, None]),
    (pa.binary(), [b"good", b"\xff", b"", None]),
    (pa.date32(), [0, 18_000, 2**31 - 1, None]),
    (pa.timestamp("s"), [0, 10**15, None]),
    (pa.timestamp("ns"), [1, None]),
    (pa.duration("s"), [1, 2**62, None]),
    (pa.decimal128(5, 1), [Decimal("1.0"), None]),
    (pa.list_(pa.string()), [["good"], [], ["a", "b"], [None], None]),
    (pa.struct([("a", pa.list_(pa.int8()))]), [{"a": [1]}, None]),
    (pa.map_(pa.string(), pa.int8()), [[("a", 1)], None]),
    (pa.dictionary(pa.int8(), pa.string()), ["good", "bad", None]),
]


def with_types(rows: list[Cell], random: Random) -> pa.Table:
    kind, values = random.choice(LABELS)
    texts = [row.text if isinstance(row.text, str) and HALF not in row.text else None for row in rows]
    chosen = [random.choice(values) for _ in rows]
    labels = (
        pa.array(chosen, pa.string()).dictionary_encode() if pa.types.is_dictionary(kind) else pa.array(chosen, kind)
    )
    when = pa.array([random.choice([0, 86_400_000]) for _ in rows], pa.date64())
    columns = {"domain": pa.array(range(1, len(rows) + 1)), "text": texts, "label": labels, "\x1b[2J": when}
    features = {
        "label": {"_type": "ClassLabel", "names": random.choice([["bad", "good"], 5, None, [HALF, "x"], [1, 2]])}
    }
    metadata = {"huggingface": json.dumps({"info": {"features": features}})} if random.random() < 0.5 else None
    return pa.table(columns).replace_schema_metadata(metadata)


def parquet(rows: list[Cell], random: Random) -> bytes:
    file = io.BytesIO()
    pq.write_table(with_types(rows, random), file, row_group_size=random.choice([7, 1000]))
    return file.getvalue()


def arrow(rows: list[Cell], random: Random) -> bytes:
    made, file = with_types(rows, random), io.BytesIO()
    new = random.choice([pa.ipc.new_file, pa.ipc.new_stream])
    with new(file, made.schema) as writer:
        writer.write_table(made, max_chunksize=random.choice([7, 1000]))
    return file.getvalue()


KINDS = {
    "comma": Kind(".csv", delimited(","), reading={"delimiter": ",", "quote": "double"}),
    "semicolon, \\r\\n": Kind(".csv", delimited(";", end="\r\n"), reading={"delimiter": ";", "quote": "double"}),
    "bar, utf-8 with a mark": Kind(".csv", delimited("|", "utf-8-sig"), reading={"delimiter": "|", "quote": "double"}),
    "tab, utf-16": Kind(".tsv", delimited("\t", "utf-16"), reading={"delimiter": "\t", "quote": "double"}),
    "JSON lines": Kind(".jsonl", lines, typed=True),
    "JSON": Kind(".json", array, typed=True),
    "parquet": Kind(".parquet", parquet, typed=True),
    "arrow": Kind(".arrow", arrow, typed=True),
}


def made(kind: Kind, seed: int, folder: Path, count: int = ROWS) -> tuple[Path, list[Cell], Random]:
    random = Random(f"{kind.ending} {kind.reading} {seed}")
    rows = cells(kind, random, count)
    path = folder / f"mine{kind.ending}"
    path.write_bytes(kind.write(rows, random))
    return path, rows, random


@pytest.mark.parametrize("separator", [None, ",", " ", "::", "\x1b"])
@pytest.mark.parametrize("name", KINDS)
def test_every_row_is_read_as_it_was_written_or_reported(name: str, separator: str | None, tmp_path: Path) -> None:
    kind = KINDS[name]
    for seed in range(FILES * TIMES if separator is None else TIMES):
        path, rows, _ = made(kind, seed, tmp_path)
        found = table.read(path, "train", Data(name="table", label_separator=separator, **kind.reading))
        examples, where = list(found.examples), {place for place, _ in found.bad}
        assert len(examples) + len(found.bad) == len(rows), seed
        assert len(where) == len(found.bad) or kind.ending == ".json", seed  # two rows may be on one line there alone
        for example in examples:
            written = rows[int(example.domain) - 1]
            plain = Example(written.text, str(written.label).strip())  # in composed form
            blank = " " if kind.ending in (".csv", ".tsv") else ""  # blanks after a delimiter may be of the format
            assert str(example.text).lstrip(blank) == str(plain.text).lstrip(blank), seed
            labels = example.target if isinstance(example.target, LabelSet) else [example.target]
            assert all(label and label == label.strip() and label.encode() for label in labels), seed  # type: ignore[union-attr]
            if separator is None and isinstance(written.label, str) and kind.ending not in (".parquet", ".arrow"):
                assert example.target in (plain.target, "1"), seed
        assert all(problem for _, problem in found.bad), seed


@pytest.mark.parametrize("output", [".jsonl", ".csv", ".parquet"])
@pytest.mark.parametrize("name", ["comma", "tab, utf-16", "JSON lines", "parquet"])
def test_every_row_has_an_answer_with_all_its_columns(name: str, output: str, trained: Path, tmp_path: Path) -> None:
    kind, said = KINDS[name], tmp_path / f"said{output}"
    for seed in range(max(1, TIMES // 4)):
        path, rows, _ = made(kind, seed, tmp_path)
        options = TextOptions(source=path, keep="all", reading=kind.reading)
        predict(rows=options, model=trained, output=said).run(lambda _: None)
        if output == ".jsonl":
            answers = [json.loads(line) for line in said.read_text("utf-8").split("\n")[:-1]]
        elif output == ".csv":
            with said.open(encoding="utf-8", newline="") as file:
                answers = list(csv.DictReader(file))
        else:
            answers = pq.read_table(said).to_pylist()
        assert [int(answer["row"]) for answer in answers] == list(range(1, len(rows) + 1)), seed
        for answer, row in zip(answers, rows, strict=True):
            assert bool(answer["label"]) != bool(answer.get("error") or answer.get("problem")), seed
            if answer["label"]:
                assert answer["text"].lstrip(" ") == row.text.lstrip(" "), seed


@pytest.mark.parametrize("name", KINDS)
def test_a_damaged_file_is_read_in_part_or_refused(name: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    for seed in range(DAMAGED * TIMES):
        path, _, random = made(kind, seed, tmp_path, FEW)
        content = bytearray(path.read_bytes())
        for _ in range(random.randint(1, 4)):
            at, length = random.randrange(len(content)), random.choice([1, 1, 4, 40, 400])
            change = random.choice(["flip", "cut", "drop", "noise", "again", "zeros"])
            if change == "flip":
                content[at] ^= 1 << random.randrange(8)
            elif change == "cut":
                del content[at + 1 :]
            elif change == "drop":
                del content[at : at + length]
            else:
                noise = {"noise": random.randbytes(length), "again": content[at : at + length], "zeros": bytes(length)}
                content[at:at] = noise[change]
            content = content or bytearray(b"\n")
        path.write_bytes(content)
        reading = kind.reading if random.random() < 0.5 else {}
        try:
            found = table.read(path, "train", Data(name="table", **reading))
        except LstmcliError as error:
            assert error.fix, seed  # noqa: PT017
            continue
        for example in found.examples:
            assert str(example.text).encode(), seed
            assert str(example.target).encode(), seed
        assert all(problem for _, problem in found.bad), seed


def test_names_of_columns_twice_are_refused_and_others_are_names(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    for seed in range(100 * TIMES):
        random = Random(seed)
        names = ["text", "label", *(unescaped(random).replace("\r", "") for _ in range(3))]
        random.shuffle(names)
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([names, ["a", "b", "c", "d", "e"], ["f", "g", "h", "i", "j"]])
        stripped = [name.strip() for name in names]
        try:
            found = table.read(path, "train", Data(name="table", delimiter=",", quote="double"))
        except LstmcliError as error:
            assert str(error), seed  # noqa: PT017
            continue
        assert len(found.examples) == 2 or found.bad, seed  # a quotation may take in both rows, and is reported
        if found.examples:
            assert found.examples[0].text == "abcde"[stripped.index("text")], seed
            assert found.examples[0].target == "abcde"[stripped.index("label")], seed


def test_dates_that_python_lacks_are_reported_by_row(tmp_path: Path) -> None:
    made = pa.table({"text": ["a film", "b film"], "label": ["x", "y"], "when": pa.array([1, 2**31 - 1], pa.date32())})
    pq.write_table(made, tmp_path / "mine.parquet")
    found = table.read(tmp_path / "mine.parquet", "train", Data(name="table"))
    assert [example.text for example in found.examples] == ["a film"]
    ((where, why),) = found.bad
    assert where.endswith(":2")
    assert "cannot be read" in why
