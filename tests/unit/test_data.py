"""Rows, sources, draws and checks."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lstmcli.config import Data, Tokens
from lstmcli.data import rows, sources
from lstmcli.data.batches import check
from lstmcli.data.readers import conll2003, reviews, table
from lstmcli.data.text.vocabulary import UNKNOWN, Vocabulary
from lstmcli.errors import DataError
from lstmcli.types import Example

BAD_ROWS = [  # file              content                                           problem
    ("a.csv", b"text,label\n\xff\xfe,good\nfine,good\n", "not UTF-8"),
    ("a.csv", b"text,label\nfine,good,extra\nfine,good\n", "3 columns where the header has 2"),
    ("a.csv", b"text,label\n,good\nfine,good\n", "empty 'text'"),
    ("a.csv", b"text,label\nfine,\nfine,good\n", "no 'label'"),
    ("a.csv", b"text,label\nfine,NaN\nfine,good\n", "no 'label'"),
    ("a.tsv", b"text\tlabel\n  \tgood\nfine\tgood\n", "empty 'text'"),
    ("a.jsonl", b'{"text": 3, "label": "a"}\n{"text": "fine", "label": "a"}\n', "'text' is int"),
    ("a.jsonl", b'{"text": "x", "label": NaN}\n{"text": "fine", "label": "a"}\n', "'label' is NaN"),
    ("a.jsonl", b'[1]\n{"text": "fine", "label": "a"}\n', "not a JSON object"),
    ("a.jsonl", b'{"text": \n{"text": "fine", "label": "a"}\n', "not JSON"),
    ("a.jsonl", b'{"text": "\\ud800", "label": "a"}\n{"text": "fine", "label": "a"}\n', "half of a surrogate"),
]


@pytest.mark.parametrize(("name", "content", "problem"), BAD_ROWS)
def test_a_bad_row_is_told_with_its_line_and_the_others_are_read(
    tmp_path: Path, name: str, content: bytes, problem: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    found = table.read(path, "train", Data())
    assert [example.text for example in found.examples] == ["fine"]
    ((where, what),) = found.bad
    assert where == f"{path}:{1 if name.endswith('jsonl') else 2}"
    assert problem in what


BAD_FILES = [  # name         content                                  what
    ("a.csv", b"", "the file is empty"),
    ("a.csv", b"review,label\nx,y\n", "no column 'text'"),
    ("a.csv", b"text,sentiment\nx,y\n", "no column 'label'"),
    ("a.docx", b"PK", "not a kind of table"),
    ("a.parquet", b"not parquet", "not a parquet file"),
    ("missing.csv", None, "no such file"),
]


@pytest.mark.parametrize(("name", "content", "what"), BAD_FILES)
def test_a_bad_file_is_told(tmp_path: Path, name: str, content: bytes | None, what: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        table.read(path, "train", Data())
    assert what in caught.value.what
    assert str(path) in caught.value.where
    assert caught.value.fix


def test_encodings_and_odd_texts_come_through(tmp_path: Path) -> None:
    long = "word " * 100_000
    path = tmp_path / "a.csv"
    path.write_bytes(
        f'\ufefftext,label\r\n"two\nlines, and a ""quote""",a\r\n\n🙂 nul\0here,b\n"{long}",3.0\n'.encode()
    )
    found = table.read(path, "train", Data())
    assert not found.bad
    assert [example.text for example in found.examples] == ['two\nlines, and a "quote"', "🙂 nul\0here", long]
    assert [example.target for example in found.examples] == ["a", "b", "3"]


def test_semicolons_part_columns_where_the_header_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text;label\nfine, really;good\n")
    assert table.read(path, "train", Data()).examples[0].text == "fine, really"


def test_parquet_and_jsonl_say_the_same(tmp_path: Path) -> None:
    records = [{"review": "fine", "stars": 1.0}, {"review": "bad", "stars": 0.5}, {"review": None, "stars": None}]
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "a.parquet")
    (tmp_path / "a.jsonl").write_text("".join(f"{pa_json}\n" for pa_json in map(_json, records)))
    options = Data(text_column="review", label_column="stars")
    one, other = (table.read(tmp_path / name, "train", options) for name in ("a.parquet", "a.jsonl"))
    assert [(e.text, e.target) for e in one.examples] == [("fine", "1"), ("bad", "0.5")]
    assert [(e.text, e.target) for e in other.examples] == [("fine", "1"), ("bad", "0.5")]
    assert [what for _, what in one.bad] == [what for _, what in other.bad] == ["no 'review'"]


def _json(record: dict[str, object]) -> str:
    import json

    return json.dumps(record)


def test_sources_are_searched_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = {"path": None, "bundled": None, "hub": "", "cache": tmp_path / "cache"}
    (tmp_path / "root" / "imdb").mkdir(parents=True)
    with pytest.raises(DataError, match="the variable is not set"):
        sources.locate("imdb", **where)
    assert sources.locate("imdb", **(where | {"bundled": tmp_path})) == tmp_path
    monkeypatch.setenv("LSTMCLI_DATA", str(tmp_path / "root"))
    assert sources.locate("imdb", **(where | {"bundled": tmp_path})) == tmp_path / "root" / "imdb"
    assert sources.locate("imdb", **(where | {"path": tmp_path})) == tmp_path
    with pytest.raises(DataError, match="no such file or folder"):
        sources.locate("imdb", **(where | {"path": tmp_path / "missing"}))


def test_a_data_set_may_be_in_any_folder_of_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = {"path": None, "bundled": None, "hub": "", "cache": tmp_path / "cache"}
    monkeypatch.setenv("LSTMCLI_DATA", str(tmp_path))
    (tmp_path / "intents" / "snips").mkdir(parents=True)
    (tmp_path / "file").write_text("")
    assert sources.locate("snips", **where) == tmp_path / "intents" / "snips"
    assert sources.locate("snips", **(where | {"bundled": tmp_path})) == tmp_path  # a set of the package wins over it
    (tmp_path / "more" / "snips").mkdir(parents=True)
    with pytest.raises(DataError, match="several folders") as caught:
        sources.locate("snips", **where)
    assert caught.value.where == f"{tmp_path / 'intents' / 'snips'}, {tmp_path / 'more' / 'snips'}"
    (tmp_path / "snips").mkdir()
    assert sources.locate("snips", **where) == tmp_path / "snips"


def test_without_network_all_places_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        sources.locate("imdb", path=None, bundled=None, hub="stanfordnlp/imdb", cache=tmp_path)
    for part in ("--data", "$LSTMCLI_DATA", "stanfordnlp/imdb", "HF_HUB_OFFLINE"):
        assert part in caught.value.where
    assert "opinions" in caught.value.fix


def test_an_unreachable_hub_is_told_and_code_on_the_hub_is_never_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    monkeypatch.delenv("HF_HUB_OFFLINE")

    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", refuse)
    with pytest.raises(DataError, match="was not found") as caught:
        sources.locate("imdb", path=None, bundled=None, hub="stanfordnlp/imdb", cache=tmp_path)
    assert "cannot be reached: ConnectionError" in caught.value.where

    class Info:
        siblings = (type("File", (), {"rfilename": "imdb.py"}), type("File", (), {"rfilename": "a.parquet"}))

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda *_, **__: Info)
    with pytest.raises(DataError) as caught:
        sources.locate("imdb", path=None, bundled=None, hub="stanfordnlp/imdb", cache=tmp_path)
    assert "not a repository of parquet files" in caught.value.where


def test_the_hubs_parquet_is_kept_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets
    import huggingface_hub

    class Info:
        siblings = (type("File", (), {"rfilename": "plain_text/train.parquet"}),)

    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda *_, **__: Info)
    split = datasets.Dataset.from_dict({"text": ["fine", "dull"], "label": [1, 0]})
    monkeypatch.setattr(datasets, "load_dataset", lambda _: datasets.DatasetDict({"train": split}))
    where = {"path": None, "bundled": None, "hub": "stanfordnlp/imdb", "cache": tmp_path}
    folder = sources.locate("imdb", **where)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", None)  # the second time no request is made
    assert sources.locate("imdb", **where) == folder

    from lstmcli.data.readers import imdb

    assert [example.target for example in imdb.read(folder, "train", Data()).examples] == ["positive", "negative"]


def test_the_check_counts_what_would_spoil_the_result() -> None:
    train = [Example("x", "a"), Example("x", "a"), Example("y", "b")]
    test = [Example("x", "a"), Example("z", "b")]
    lengths = {"train": (np.array([1, 1, 9]), np.array([1, 1, 4])), "test": (np.array([1, 5]), np.array([1, 4]))}
    checked = check.check({"train": train, "test": test}, lengths)
    assert (checked["train"].duplicates, checked["test"].in_train, checked["train"].over) == (1, 1, 1)
    findings = "\n".join(check.remarks(checked))
    for part in ("class 'a' has only 2", "train: 1 text repeats", "at most 50.0 points", "longer than max_tokens"):
        assert part in findings
    with pytest.raises(DataError, match="only one class to learn: 'a'"):
        check.check({"train": train[:2]}, lengths)


def test_uneven_classes_are_told() -> None:
    data = [Example(f"{label} {number}", label) for label, count in (("a", 120), ("b", 20)) for number in range(count)]
    findings = check.remarks(check.check({"train": data}, {"train": (np.ones(140, int),) * 2}))
    assert any("uneven: 120 examples against 20" in remark for remark in findings)


def test_an_unclosed_quote_is_told_with_the_lines_it_takes_in(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('text,label\nfine,good\n"never closed,good\n' + "x,good\n" * 10)
    (bad,) = table.read(path, "train", Data(quote="double")).bad
    assert bad[0] == f"{path}:3"
    assert "lines 3 to 13" in bad[1]
    found = table.read(path, "train", Data())  # read as text, where no line is lost then
    assert [example.text for example in found.examples] == ["fine", '"never closed', *["x"] * 10]


def test_a_row_without_label_among_others_is_a_bad_row(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "x"}\n{"text": "fine", "label": "a"}\n{"label": "a"}\n')
    found = table.read(path, "train", Data())
    assert [example.text for example in found.examples] == ["fine"]
    assert [what for _, what in found.bad] == ["no 'label'", "no 'text'"]


def test_damaged_parquet_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["fine"] * 200, "label": ["a"] * 200}), path)
    whole = path.read_bytes()
    end = len(whole) - 8  # the length of the description that stands before, and the mark of the format
    reported = set()
    for position in (*range(0, end, 7), *range(end, len(whole))):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 4]) + whole[position + 1 :])
        try:
            found = table.read(path, "train", Data())
        except DataError:
            reported.add(position)
            continue
        assert len(found.examples) + len(found.bad) == 200, position  # other letters at most: the format has no sums
    assert reported >= set(range(end, len(whole)))
    path.write_bytes(whole[:-100])
    with pytest.raises(DataError):
        table.read(path, "train", Data())


def test_numbers_of_any_length_and_halves_of_pairs_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"text": "x", "label": ' + "1" * 5000 + '}\n{"text": "x", "label": "\\ud800"}\n{"text": "fine", "label": 1}\n'
    )
    found = table.read(path, "train", Data())
    assert len(found.bad) == 2
    assert found.examples[0].target == "1"


NOT_UTF8 = "bytes that are not UTF-8; if the file is in Windows-1252: --set data.encoding=cp1252"


def test_rows_of_plain_text(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\r\n\xff\n\nthree")
    read = list(rows.stream(path, Data()))
    assert [rows.text_of(row, "text") for row in read] == [
        ("one", ""), ("", NOT_UTF8), ("", "empty 'text'"), ("three", ""),
    ]  # fmt: skip


def test_reviews_of_one_s_own_have_the_columns_that_are_named(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("body,mood\nfine,good\n")
    own = Data(name="reviews", path=tmp_path / "mine.csv", text_column="body", label_column="mood")
    (example,) = reviews.read(tmp_path / "mine.csv", "train", own).examples
    assert (example.text, example.target) == ("fine", "good")
    assert len(reviews.read(reviews.BUNDLED, "train", own).examples) > 100  # of which the columns are known


def open_files() -> list[str]:
    """Paths of the files that this process has open."""
    folder = Path("/proc/self/fd")
    return [str(one.readlink()) for one in folder.iterdir() if one.is_symlink()] if folder.is_dir() else []


def test_rows_of_json_may_lack_a_column_but_not_all(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"label": "a"}\n{"text": "fine", "label": "b"}\n')
    assert [row.line for row in rows.stream(path, Data())] == [1, 2]
    path.write_text('{"body": "x"}\n' * rows.SEARCHED + '{"text": "fine"}\n')
    with pytest.raises(DataError, match="no column 'text'") as caught:
        next(rows.stream(path, Data()))
    assert "body" in caught.value.where
    assert not [one for one in open_files() if one.endswith("a.jsonl")]  # though the error still holds its frames
    path.write_text("[1]\n[2]\n")
    assert [row.problem for row in rows.stream(path, Data())] == ["not a JSON object"] * 2


def test_val_is_a_name_of_validation(tmp_path: Path) -> None:
    for name in ("train.csv", "val.csv"):
        (tmp_path / name).write_text("text,label\nfine,good\n")
    assert table.splits(tmp_path) == ("train", "validation")
    for name in ("train.txt", "val.txt"):
        (tmp_path / name).write_text("Ada B-PER\n")
    assert conll2003.splits(tmp_path) == ("train", "validation")


def test_columns_are_known_by_the_first_tag_however_late_it_comes(tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    path.write_text("rain O\n\n" * 50 + "broken\n\n" + "Ada B-PER\n")
    assert conll2003.fits(tmp_path)
    path.write_text("rain O\n\n" * 50)  # no entity: reading it says so
    assert conll2003.fits(tmp_path)
    path.write_text("It rained all day.\n\nAda B-PER\n")
    assert not conll2003.fits(tmp_path)


def test_what_is_kept_of_the_hub_is_found_without_asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = {"path": None, "bundled": None, "hub": "a/b", "cache": tmp_path, "fetch": False}
    monkeypatch.setattr(sources, "_download", None)
    with pytest.raises(DataError, match="was not found"):
        sources.locate("imdb", **where)
    (tmp_path / "hub" / "a--b").mkdir(parents=True)
    assert sources.locate("imdb", **where) == tmp_path / "hub" / "a--b"


def test_pieces_of_more_letters_than_there_is_room_for_are_the_most_frequent(tmp_path: Path) -> None:
    texts = ["abcdefghij", "abcdefgh", "ab", "ab"]
    vocabulary = Vocabulary.build(texts, ["x"], Tokens(kind="bpe", size=10, min_count=1))
    assert len(vocabulary) == 10
    assert set("abcdefgh") <= set(vocabulary.words)
    assert vocabulary.encode(["j"]) == [[UNKNOWN]]
