"""What the readers of few-shot data leave out, and say that they do."""

from pathlib import Path

import pytest

from lstmcli.config import Data
from lstmcli.data.readers import arsc, banking77, clinc150, hwu64, intents
from lstmcli.errors import DataError
from lstmcli.events import Noted
from lstmcli.storage import examples as inputs
from lstmcli.types import Rows

FILES = {
    "workspace.filtered.list": "books\ntoys\nmusic\n",
    "workspace.target.list": "books\n",
    "toys.t2.train": "broke\t-1\nloved\t1\nthe same as a book\t1\n",
    "toys.t4.train": "loved\t-1\n",
    "toys.t2.dev": "a gift\t1\nloved\t1\n",
    "toys.t2.test": "not looked at\t1\n",
    "music.t5.dev": "no song\t-1\n",
    "music.t5.test": "one song\t1\n",
    "books.t2.train": "stays\t1\nunread\t-1\n",
    "books.t2.dev": "the same as a book\t1\n",
    "books.t2.test": "twice\t1\nstays\t1\n",
    "pianos.t2.train": "in no list\t1\n",
}


def read(folder: Path, split: str, **options: object) -> Rows:
    for name, content in FILES.items():
        (folder / name).write_text(content)
    return arsc.read(folder, split, Data(name="arsc", **options))


def texts(rows: Rows) -> list[tuple[str, object, str]]:
    return sorted((str(example.text), example.target, example.domain) for example in rows.examples)


def test_arsc_trains_on_what_no_target_domain_has_and_what_lacks_a_train_file(tmp_path: Path) -> None:
    rows = read(tmp_path, "train")
    assert texts(rows) == [
        ("t2 broke", "negative", "toys.t2"),
        ("t2 loved", "positive", "toys.t2"),
        ("t4 loved", "negative", "toys.t4"),
        ("t5 no song", "negative", "music.t5"),
        ("t5 one song", "positive", "music.t5"),
    ]
    assert rows.notes == (
        "train: 1 text left out that also occur in a target domain",
        "train: no train file of music; their dev and test rows are used instead",
    )


def test_arsc_validates_and_tests_on_texts_that_were_not_learned(tmp_path: Path) -> None:
    validation, support, test = (read(tmp_path, split) for split in ("validation", "support", "test"))
    assert texts(validation) == [("t2 a gift", "positive", "toys.t2")]
    assert validation.notes == ("validation: 1 text left out that also occur in train",)
    assert texts(support) == [("t2 stays", "positive", "books.t2"), ("t2 unread", "negative", "books.t2")]
    assert texts(test) == [("t2 twice", "positive", "books.t2")]
    assert test.notes == ("test: 1 text left out that also occur in their task's support",)
    assert texts(read(tmp_path, "train", domains=("toys.t4",))) == [("t4 loved", "negative", "toys.t4")]


def test_arsc_tells_rows_that_cannot_be_used(tmp_path: Path) -> None:
    read(tmp_path, "train")
    (tmp_path / "toys.t2.train").write_bytes(b"fine\t3\n\t1\n\xff\t1\nkind\t1\n")
    rows = arsc.read(tmp_path, "train", Data(name="arsc"))
    where = str(tmp_path / "toys.t2.train")
    assert rows.bad == [
        (f"{where}:1", "label '3' is none of 1, -1, 0"),
        (f"{where}:2", "empty text"),
        (f"{where}:3", "bytes that are not UTF-8"),
    ]
    (tmp_path / "workspace.filtered.list").unlink()
    with pytest.raises(DataError, match="list of domains"):
        arsc.read(tmp_path, "train", Data(name="arsc"))


def test_classes_are_parted_whole_and_the_same_each_time() -> None:
    classes = [f"intent {number}" for number in range(77)]
    parts = intents.split_classes(classes, banking77.CLASSES)
    assert {name: len(part) for name, part in parts.items()} == banking77.CLASSES
    assert sorted(name for part in parts.values() for name in part) == sorted(classes)
    assert parts == intents.split_classes(reversed(classes), banking77.CLASSES)


def test_no_class_and_no_text_of_clinc150_is_in_two_splits(real_data: Path) -> None:
    root = real_data / "fewshot_intents" / "clinc150"
    found = {split: clinc150.read(root, split, Data(name="clinc150")).examples for split in clinc150.splits(root)}
    for kind in ("target", "text"):
        sets = [{getattr(example, kind) for example in examples} for examples in found.values()]
        assert sum(map(len, sets)) == len(set.union(*sets))
    assert {split: len({example.target for example in part}) for split, part in found.items()} == clinc150.CLASSES


@pytest.mark.slow
def test_arsc_counts_are_those_of_the_benchmark(real_data: Path) -> None:
    root = real_data / "arsc"
    support, test = (arsc.read(root, split, Data(name="arsc")) for split in ("support", "test"))
    assert len({example.domain for example in test.examples}) == 12
    assert len(support.examples) == 120
    assert len(test.examples) == 9165 - 2


def test_how_classes_are_divided_is_noted_once_where_all_splits_are_read(tmp_path: Path) -> None:
    for name, content in hwu64.SPECIMEN.items():
        (tmp_path / name).write_text(content)
    events: list[object] = []
    examples = inputs.everything(Data(name="hwu64", path=str(tmp_path)), listener=events.append)
    notes = [event.text for event in events if isinstance(event, Noted)]
    assert len(examples) == 6
    assert [note for note in notes if "in one split alone" in note] == notes[:1]
