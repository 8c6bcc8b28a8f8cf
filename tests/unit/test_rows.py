"""Tables as people really have them: each dialect, container and encoding is read right, or refused with a remedy."""

import bz2
import csv
import gzip
import io
import itertools
import json
import lzma
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from lstmcli.config import Data
from lstmcli.data import rows
from lstmcli.data.readers import table
from lstmcli.errors import DataError

TEXTS = [
    "warm, and quick to dry",
    "the zip broke; twice",
    'he said "fine" | and left',
    "it's late",
    "a\tb",
    "two\nlines",
]
LABELS = ["good", "bad"]
PAIRS = [(f"{text} {number}", LABELS[number % 2]) for number, text in enumerate(TEXTS * 3)]
PLAIN = [(f"a plain text {number}", LABELS[number % 2]) for number in range(12)]


def read(path: Path, **options: object) -> list[tuple[str, str | None]]:
    found = table.read(path, "train", Data(**options))  # type: ignore[arg-type]
    assert found.bad == []
    return [(str(example.text), str(example.target)) for example in found.examples]


def refused(path: Path, **options: object) -> str:
    """Everything that the message says: what, where and fix; of bad rows too."""
    try:
        found = table.read(path, "train", Data(**options))  # type: ignore[arg-type]
    except DataError as error:
        return str(error)
    assert found.bad
    return "\n".join(f"{where}: {what}" for where, what in found.bad)


def written(pairs: list[tuple[str, str]], *, header: tuple[str, str] | None = ("text", "label"), **how: object) -> str:
    file = io.StringIO()
    csv.writer(file, **how).writerows([*([header] if header else []), *pairs])  # type: ignore[arg-type]
    return file.getvalue()


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".CSV"])
@pytest.mark.parametrize("delimiter", list(",;\t|"))
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_what_a_writer_writes_in_any_dialect_is_read_back(
    tmp_path: Path, ending: str, delimiter: str, quoting: int
) -> None:
    for line_end, header in itertools.product(("\n", "\r\n"), (True, False)):
        path = tmp_path / f"a{ending}"
        names = ("text", "label") if header else None
        path.write_text(
            written(PAIRS, header=names, delimiter=delimiter, quoting=quoting, lineterminator=line_end), newline=""
        )
        numbers = {} if header else {"text_column": "1", "label_column": "2"}
        assert read(path, **numbers) == PAIRS


@pytest.mark.parametrize(
    "content",
    [
        "sep=;\r\ntext;label\r\nfine, really;good\r\npoor;bad\r\n",
        '\n\ntext,label\n"fine, really",good\npoor,bad\n',
        '# exported on a Monday\n# by hand\ntext,label\n"fine, really",good\npoor,bad\n',
        "text;label;size, cm\nfine, really;good;1\npoor;bad;2\n",
        'label, text\ngood, "fine, really"\nbad, "poor"\n',
        "text,label\n'fine, really',good\n'poor',bad\n",
        "Text ; LABEL\nfine, really;good\npoor;bad\n",
        "id,title,body,label\n1,fine,really,good\n2,poor,,bad\n",
    ],
)
def test_lines_before_the_header_and_blanks_in_it_are_no_data(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.csv").write_text(content)
    column = "title,body" if "title" in content else "text"
    texts = [("fine, really", "good"), ("poor", "bad")]
    expected = [(text.replace(", ", " ").strip(), label) for text, label in texts] if "title" in content else texts
    found = [(text.strip(), label) for text, label in read(tmp_path / "a.csv", text_column=column)]
    assert found == expected


def test_marks_escaped_by_backslashes_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('text,label\n"it is \\"fine, really\\" now",good\n"poor",bad\n')
    assert read(tmp_path / "a.csv") == [('it is "fine, really" now', "good"), ("poor", "bad")]


@pytest.mark.parametrize(("ending", "delimiter"), [(".tsv", "\t"), (".csv", ",")])
def test_a_stray_quotation_mark_swallows_no_row(tmp_path: Path, ending: str, delimiter: str) -> None:
    lines = [f"text number {number}{delimiter}{LABELS[number % 2]}" for number in range(40)]
    lines[4] = '"' + lines[4]
    lines[9] = lines[9].replace(delimiter, f'"{delimiter}')
    path = tmp_path / f"a{ending}"
    path.write_text("\n".join([f"text{delimiter}label", *lines]))
    assert [text.strip('"') for text, _ in read(path)] == [f"text number {number}" for number in range(40)]
    # Where the first lines show quoting, the mark is one: the rows that it takes in are counted, not lost in silence.
    proof = f'"a ""quoted"" text"{delimiter}good\n' * 3000
    path.write_text(f"text{delimiter}label\n{proof}" + "\n".join(lines))
    message = refused(path)
    assert (
        f"a{ending}:3006: a quotation mark that opens in line 3006 and closes in line 3011 takes in 6 lines" in message
    )
    assert len(table.read(path, "train", Data()).examples) == 3000 + 34
    assert len(read(path, quote="none")) == 3000 + 40


def test_texts_of_several_lines_are_one_row_whatever_their_commas(tmp_path: Path) -> None:
    letters = [(f"Dear all, {number}\nfine, thanks\nyours, x", LABELS[number % 2]) for number in range(30)]
    (tmp_path / "a.csv").write_text(written(letters))
    assert read(tmp_path / "a.csv") == [(text, label) for text, label in letters]


@pytest.mark.parametrize(
    ("content", "numbers"),
    [
        ("".join(f"{text},{label}\n" for text, label in PLAIN), "--text-column 1 --label-column 2"),
        ("".join(f"{label}\t{text}\n" for text, label in PLAIN), "--text-column 2 --label-column 1"),
        ("".join(f'"{len(label)}","title","{text}"\n' for text, label in PLAIN), "--text-column 3 --label-column 1"),
    ],
)
def test_a_file_without_header_is_refused_with_options_that_read_it(tmp_path: Path, content: str, numbers: str) -> None:
    (tmp_path / "a.csv").write_text(content)
    message = refused(tmp_path / "a.csv")
    assert "no header line" in message
    assert f"{numbers} --set data.header=no" in message
    _, text, _, label = numbers.split()
    found = read(tmp_path / "a.csv", text_column=text, label_column=label, header=False)
    assert [text for text, _ in found] == [text for text, _ in PLAIN]
    assert found == read(tmp_path / "a.csv", text_column=text, label_column=label)
    # A cell of the first row given as a column's name would lose that row.
    first = content.splitlines()[0].replace('"', "").split("\t" if "\t" in content else ",")
    named = {"text_column": first[int(text) - 1], "label_column": first[int(label) - 1]}
    assert "no header line" in refused(tmp_path / "a.csv", **named)


def test_a_header_that_looks_like_data_is_one_where_the_user_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("2023,2024\nfine,good\npoor,bad\n")
    assert "data.header=yes" in refused(tmp_path / "a.csv")
    assert read(tmp_path / "a.csv", text_column="2023", label_column="2024", header=True) == [
        ("fine", "good"),
        ("poor", "bad"),
    ]


def test_two_delimiters_that_fit_alike_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b;c\nd,e;f\ng,h;i\n")
    message = refused(tmp_path / "a.csv")
    assert "comma and semicolon fit equally well" in message
    assert "--set data.delimiter=" in message
    assert read(tmp_path / "a.csv", delimiter=";", text_column="a,b", label_column="c", header=True)[0] == ("d,e", "f")


def test_names_that_appear_twice_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label,text\nfine,good,x\n")
    assert "'text' appears 2 times" in refused(tmp_path / "a.csv")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_unicode_in_any_encoding_is_read(tmp_path: Path, encoding: str) -> None:
    pairs = [(f"café — {text}", label) for text, label in PLAIN]
    (tmp_path / "a.csv").write_bytes(written(pairs).encode(encoding))
    assert read(tmp_path / "a.csv") == pairs


def test_windows_1252_is_found_and_the_option_reads_it(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("text,label\ncafé,good\nfine,bad\n".encode("cp1252"))
    assert "a.csv:2: bytes that are not UTF-8; if the file is in Windows-1252: --set data.encoding=cp1252" in refused(
        tmp_path / "a.csv"
    )
    assert read(tmp_path / "a.csv", encoding="cp1252") == [("café", "good"), ("fine", "bad")]


CONTAINERS = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}


@pytest.mark.parametrize("ending", CONTAINERS)
@pytest.mark.parametrize("inner", [".csv", ".tsv", ".jsonl"])
def test_compressed_files_are_read_under_any_name(tmp_path: Path, ending: str, inner: str) -> None:
    lines = "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in PAIRS)
    content = lines if inner == ".jsonl" else written(PAIRS, delimiter="\t" if inner == ".tsv" else ",")
    for name in (f"a{inner}{ending}", f"b{inner}"):
        (tmp_path / name).write_bytes(CONTAINERS[ending](content.encode()))
        assert read(tmp_path / name) == PAIRS
    (tmp_path / "cut.csv").write_bytes(CONTAINERS[ending](content.encode())[:-20])
    assert "damaged" in refused(tmp_path / "cut.csv")


def test_an_archive_of_one_table_is_that_table(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("inner/a.csv", written(PAIRS))
    assert table.fits(tmp_path / "a.zip")
    assert read(tmp_path / "a.zip") == PAIRS
    with zipfile.ZipFile(tmp_path / "a.zip", "a") as archive:
        archive.writestr("b.csv", written(PAIRS))
    message = refused(tmp_path / "a.zip")
    assert "inner/a.csv, b.csv" in message
    assert "unpack it" in message


@pytest.mark.parametrize("layout", ["lines", "array", "pretty", "wrapped", "pretty wrapped", "one after the other"])
def test_json_in_any_layout_is_read(tmp_path: Path, layout: str) -> None:
    objects = [{"text": text, "label": label} for text, label in PAIRS]
    content = {
        "lines": "\n".join(map(json.dumps, objects)),
        "array": json.dumps(objects),
        "pretty": json.dumps(objects, indent=1),
        "wrapped": json.dumps({"version": "1.0", "data": objects}),
        "pretty wrapped": json.dumps({"data": objects}, indent=2),
        "one after the other": "\n".join(json.dumps(one, indent=2) for one in objects),
    }[layout]
    for ending in (".json", ".jsonl", ".ndjson"):
        (tmp_path / f"a{ending}").write_text(content)
        assert table.fits(tmp_path / f"a{ending}")
        assert read(tmp_path / f"a{ending}") == PAIRS
        places = [one.where for one in table.read(tmp_path / f"a{ending}", "train", Data()).examples]
        assert places == [f"{tmp_path / 'a'}{ending}:{number}" for number in range(1, len(PAIRS) + 1)]


def test_a_key_that_appears_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "x", "label": "a"}\n{"text": "x", "text": "y", "label": "b"}\n')
    assert "a.jsonl:2: not JSON: the key 'text' appears twice" in refused(tmp_path / "a.jsonl")


@pytest.mark.parametrize("sign", ["^", ":"])
def test_a_delimiter_that_is_not_tried_is_proposed_as_the_option_that_reads_it(tmp_path: Path, sign: str) -> None:
    (tmp_path / "a.csv").write_text(f"#text{sign}label\n" + "".join(f"{text}{sign}{label}\n" for text, label in PLAIN))
    assert f"--set data.delimiter='{sign}'" in refused(tmp_path / "a.csv")
    assert read(tmp_path / "a.csv", delimiter=sign) == PLAIN


def test_a_fault_within_an_array_names_its_line_and_says_that_the_rest_is_lost(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[\n{"text": "fine", "label": "a"},\n{"text": "fine" "label": "b"},\n{}]')
    assert "a.json:3: not JSON" in refused(tmp_path / "a.json")
    assert "what follows is lost" in refused(tmp_path / "a.json")
    (tmp_path / "a.json").write_text('[\n{"text": "fine", "label": "a"},\n')
    assert "the array is not closed" in refused(tmp_path / "a.json")
    (tmp_path / "a.json").write_text('[{"text": "fine", "label": "a"}, {"text": "fine" "label": "b"}]')
    assert "a.json:2: not JSON" in refused(tmp_path / "a.json")  # not 1, the line: so the first row is called


def test_lines_of_fasttext_are_texts_with_labels(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("".join(f"__label__{label} {text}\n" for text, label in PLAIN))
    assert table.fits(tmp_path / "a.txt")
    assert read(tmp_path / "a.txt") == PLAIN
    (tmp_path / "a.txt").write_text("__label__good __label__cheap fine\n")
    assert "a text has one label" in refused(tmp_path / "a.txt")


def test_a_workbook_is_its_one_sheet(tmp_path: Path) -> None:
    pytest.importorskip("python_calamine")
    cells = "".join(
        f'<row r="{row}">'
        + "".join(
            f'<c r="{name}{row}" t="inlineStr"><is><t>{cell}</t></is></c>'
            for name, cell in zip("AB", pair, strict=True)
        )
        + "</row>"
        for row, pair in enumerate([("text", "label"), *PLAIN], 1)
    )
    space = "http://schemas.openxmlformats.org"
    linked = f"{space}/officeDocument/2006/relationships"
    relations = (
        f'<Relationships xmlns="{space}/package/2006/relationships">'
        f'<Relationship Id="r1" Type="{linked}/%s" Target="%s"/></Relationships>'
    )
    main = f'xmlns="{space}/spreadsheetml/2006/main" xmlns:r="{linked}"'
    parts = {
        "_rels/.rels": relations % ("officeDocument", "xl/workbook.xml"),
        "xl/workbook.xml": f'<workbook {main}><sheets><sheet name="one" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": relations % ("worksheet", "worksheets/sheet1.xml"),
        "xl/worksheets/sheet1.xml": f"<worksheet {main}><sheetData>{cells}</sheetData></worksheet>",
    }
    for name in ("a.xlsx", "b.csv"):  # recognised under another name too
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for part, content in parts.items():
                archive.writestr(part, content)
        assert read(tmp_path / name) == PLAIN


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"%PDF-1.7 ...", "a PDF document"),
        (b"\x89PNG\r\n\x1a\n\0\0", "a picture"),
        (bytes(range(256)) * 9, "binary data"),
    ],
)
def test_other_files_under_a_table_s_name_are_called_what_they_are(tmp_path: Path, content: bytes, part: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    assert part in refused(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("label", "part"),
    [
        (["a", "b"], "'label' is a list, not a word or number; a text has one label"),
        ([], "'label' is a list"),
        ({"a": True}, "'label' is a dict"),
        (None, "no 'label'"),
    ],
)
def test_a_label_that_is_no_scalar_is_refused(tmp_path: Path, label: object, part: str) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "fine", "label": label}))
    assert f"a.jsonl:1: {part}" in refused(tmp_path / "a.jsonl")


@pytest.mark.parametrize(
    ("label", "expected"),
    [(["a"], "a"), (True, "true"), (1, "1"), (1.0, "1"), ("1.0", "1"), (0.7, "0.7"), (" a\u200b", "a")],
)
def test_labels_are_words(tmp_path: Path, label: object, expected: str) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "fine", "label": label}))
    assert read(tmp_path / "a.jsonl") == [("fine", expected)]


def test_labels_of_typed_columns_are_what_they_mean(tmp_path: Path) -> None:
    text = ["fine", "poor"]
    columns = {
        "bytes": (pa.array([b"good", b"bad"]), ["good", "bad"]),
        "single": (pa.array([0.7, 0.1], pa.float32()), ["0.7", "0.1"]),
        "named": (pa.array([1, 0]), ["positive", "negative"]),
    }
    features = {"named": {"names": ["negative", "positive"], "_type": "ClassLabel"}}
    schema = pa.table({"text": text} | {name: column for name, (column, _) in columns.items()})
    found = schema.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(found, tmp_path / "a.parquet")
    with pa.OSFile(str(tmp_path / "file.arrow"), "wb") as sink, pa.ipc.new_file(sink, found.schema) as writer:
        writer.write_table(found)
    with pa.OSFile(str(tmp_path / "stream.arrow"), "wb") as sink, pa.ipc.new_stream(sink, found.schema) as writer:
        writer.write_table(found)
    for name, (_, labels) in columns.items():
        for path in tmp_path.iterdir():
            assert read(path, label_column=name) == list(zip(text, labels, strict=True))


def test_texts_and_labels_have_one_unicode_form(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\ncafe\u0301,u\u0308bel\u200b\ncaf\u00e9,\ufeff\u00fcbel\n")
    assert read(tmp_path / "a.csv") == [("caf\u00e9", "\u00fcbel")] * 2


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["train.csv", "validate.csv"], ["train", "validation"]),
        (["Train.CSV", "Eval.csv", "TEST.csv"], ["train", "validation", "test"]),
        (["train.csv.gz", "devel.csv"], ["train", "validation"]),
        (
            ["data/train-00000-of-00002.csv", "data/train-00001-of-00002.csv", "data/test-00000-of-00001.csv"],
            ["train", "test"],
        ),
    ],
)
def test_the_files_of_a_folder_are_its_splits(tmp_path: Path, names: list[str], splits: list[str]) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        content = written([(f"{name} {text}", label) for text, label in PLAIN]).encode()
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert table.fits(tmp_path)
    assert list(table.splits(tmp_path)) == splits
    count = sum(name.lower().rpartition("/")[2].startswith("train") for name in names)
    assert len(table.read(tmp_path, "train", Data()).examples) == len(PLAIN) * count


def test_what_a_folder_holds_beside_its_splits_is_named(tmp_path: Path) -> None:
    for name in ("train.csv", "valid.csv", "dev.csv", "more.jsonl", "README.md"):
        (tmp_path / name).write_text(written(PLAIN))
    (note,) = table.read(tmp_path, "train", Data()).notes
    assert note == "not read: dev.csv, more.jsonl (read: train.csv, valid.csv)"


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    (tmp_path / "train-00000-of-00002.csv").write_text(written(PLAIN))
    assert "1 of 2 shards were found" in refused(tmp_path)


@pytest.mark.parametrize("split", ["", "train"])
def test_a_folder_per_class_is_read(tmp_path: Path, split: str) -> None:
    for number, (text, label) in enumerate(PLAIN):
        path = tmp_path / split / label / f"{number:02}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert table.fits(tmp_path)
    assert sorted(read(tmp_path)) == sorted(PLAIN)
    (tmp_path / split / "good" / "99.txt").write_bytes(b"\xff")
    assert "99.txt: bytes that are not UTF-8" in refused(tmp_path)


def test_numbers_name_columns_of_any_table(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,body,mood\n1,fine,good\n2,poor,bad\n")
    pq.write_table(pa.table({"id": [1, 2], "body": ["fine", "poor"], "mood": ["good", "bad"]}), tmp_path / "a.parquet")
    for name in ("a.csv", "a.parquet"):
        assert read(tmp_path / name, text_column="2", label_column="3") == [("fine", "good"), ("poor", "bad")]
        assert rows.names(tmp_path / name, Data()) == ["id", "body", "mood"]


def test_a_missing_column_is_proposed_by_its_likely_name(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,review,mood\n1,fine,good\n2,poor,bad\n")
    assert "--text-column review" in refused(tmp_path / "a.csv")
    assert "--label-column NAME" in refused(tmp_path / "a.csv", text_column="review")
