"""What a run that starts from another model validates on, where that model has learned some of the same texts."""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from lstmcli import fit, load, recipes
from lstmcli.data.batches.encoded import text_hashes
from lstmcli.events import Noted
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage import examples, validation_split
from lstmcli.types import Example
from tests.conftest import BAD, GOOD, train_arguments, untrained

Run = Callable[..., int]
Captured = pytest.CaptureFixture[str]
NONE = ["--set", "model.init=none"]


def written(path: Path, numbers: range) -> list[str]:
    """Write a table of a good and a bad text per number and return its texts."""
    rows = [(f"{text} {number}", label) for number in numbers
            for text, label in ((GOOD[number % 4], "good"), (BAD[number % 4], "bad"))]  # fmt: skip
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows), "utf-8")
    return [text for text, _ in rows]


def learned(model: Path) -> np.ndarray:
    return checkpoints.opened(model).arrays("learned")["texts"]


def unlearned(texts: list[str], model: Path) -> int:
    return int((~np.isin(text_hashes([Example(text) for text in texts]), learned(model))).sum())


def learned_by(texts: list[Example]) -> dict[str, Tensor]:
    """The tensor of a checkpoint that has learned the texts."""
    return checkpoints.grouped("learned", {"texts": torch.from_numpy(text_hashes(texts))})


def begun(run: Run, table: Path, init: Path | None, out: Path, *more: str) -> Path:
    """Train for an epoch and return the model."""
    sets = [] if init is None else ["--set", f"model.init={init}"]
    assert run(*train_arguments(table, out, *sets, "--epochs", "1", "--no-cache", *more)) == 0
    return out / "model.pt"


def a_whole_and_its_beginning(run: Run, folder: Path) -> tuple[list[str], Path, Path]:
    """Write a table of 300 texts; return them, the table, and a model of the first 200, a tenth of them held out."""
    table, part = folder / "whole.csv", folder / "part.csv"
    texts, _ = written(table, range(150)), written(part, range(100))
    return texts, table, begun(run, part, None, folder / "first")


def scored(run: Run, model: Path, table: Path, capsys: Captured) -> tuple[int, str]:
    """How many texts ``evaluate`` scores as validation, and what it says about them."""
    capsys.readouterr()
    assert run("evaluate", "-c", model, "--data", table, "--split", "validation", "--json") == 0
    out, err = capsys.readouterr()
    return json.loads(out)["examples"], " ".join(err.split())


def test_validation_texts_are_those_that_the_initial_model_has_not_learned(
    run: Run, tmp_path: Path, capsys: Captured
) -> None:
    texts, table, first = a_whole_and_its_beginning(run, tmp_path)
    assert unlearned(texts[:200], first) == 20  # a tenth of 200
    second = begun(run, table, first, tmp_path / "second")
    assert np.isin(learned(first), learned(second)).all()
    assert unlearned(texts, second) == 30  # of what the first has learned, none is among those held out
    assert "has learned from" not in " ".join(capsys.readouterr().err.split())
    assert scored(run, second, table, capsys)[0] == 30
    assert "the model has learned from" not in scored(run, second, table, capsys)[1]
    count, remarks = scored(run, begun(run, table, None, tmp_path / "third", *NONE), table, capsys)
    assert (count, "the model has learned from" in remarks) == (30, False)


@pytest.mark.parametrize(("enough", "held"), [(10, 14), (14, 14), (15, 20), (100, 20)])
def test_too_few_such_texts_are_held_out_alone_or_all_as_without_the_model(
    enough: int, held: int, run: Run, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation_split, "ENOUGH", enough)
    table, part = tmp_path / "whole.csv", tmp_path / "part.csv"
    texts, _ = written(table, range(100)), written(part, range(95))
    first = begun(run, part, None, tmp_path / "first", "--set", "data.validation=0.02")
    assert unlearned(texts, first) == 14  # 10 of the table alone, and 4 that were held out
    second = begun(run, table, first, tmp_path / "second")
    remarks = " ".join(capsys.readouterr().err.split())
    count, of_score = scored(run, second, table, capsys)
    assert count == held
    if held == 14:
        assert "14 texts are held out for validation, not 20: the initial model" in remarks
        assert unlearned(texts, second) == 14
        assert "flatters" not in remarks
        return
    plain = begun(run, table, None, tmp_path / "third", *NONE)
    flattering = sum(unlearned([text], plain) and not unlearned([text], first) for text in texts)
    assert 0 < flattering < 20
    assert f"has learned from {flattering} of 20 texts, which flatters its score" in remarks
    assert f"the model has learned from {flattering} of 20 texts" in of_score


def test_a_resumed_run_holds_out_the_same_texts_and_needs_the_model_for_it(
    run: Run, tmp_path: Path, capsys: Captured
) -> None:
    texts, table, first = a_whole_and_its_beginning(run, tmp_path)
    second = begun(run, table, first, tmp_path / "second")
    again = train_arguments(table, second.parent, "--set", f"model.init={first}", "--no-cache", "--resume")
    first.rename(tmp_path / "elsewhere.pt")
    capsys.readouterr()
    assert run(*again, "--epochs", "2") == 2
    message = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert "the model that the run began with is no longer there" in message
    assert "put it back" in message
    (tmp_path / "elsewhere.pt").rename(first)
    assert run(*again, "--epochs", "2") == 0
    assert unlearned(texts, second) == 30


@pytest.mark.parametrize("change", ["gone", "none", "other"])
def test_the_part_held_out_is_found_again_without_the_initial_model(
    change: str, run: Run, tmp_path: Path, capsys: Captured
) -> None:
    """As of a model of a search that began without ``model.init``, or one that was sent to somebody else."""
    texts, table, first = a_whole_and_its_beginning(run, tmp_path)
    second = begun(run, table, first, tmp_path / "second")
    if change == "gone":
        first.unlink()
    elif change == "other":
        shutil.copy(begun(run, table, None, tmp_path / "other", *NONE), first)
    else:
        found = checkpoints.load(second)
        model = found.config.model.model_copy(update={"init": None})
        checkpoints.save(replace(found, config=found.config.model_copy(update={"model": model})), second)
    assert unlearned(texts, second) == 30
    count, remarks = scored(run, second, table, capsys)
    assert (count, "the model has learned from" in remarks) == (30, False)


@pytest.mark.parametrize("rare", [30, 40])
def test_uneven_classes_leave_no_gap_between_the_rules(
    rare: int, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 10 + ``rare`` texts not learned before, most are held out, though their classes are not as those of all."""
    monkeypatch.setattr(validation_split, "ENOUGH", 40)
    table, part = tmp_path / "whole.csv", tmp_path / "part.csv"
    before = written(part, range(200))
    first = begun(run, part, None, tmp_path / "first", "--set", "data.validation=0.01")
    new = [f"a warm film again {number}" for number in range(rare)] + [
        f"a cold hall again {number}" for number in range(10)
    ]
    rows = part.read_text("utf-8") + "".join(
        f"{text},{('bad', 'good')[index < rare]}\n" for index, text in enumerate(new)
    )
    table.write_text(rows, "utf-8")
    config = recipes.load(str(table), overrides=[f"model.init={first}", "data.validation=0.2"])
    notes: list[object] = []
    held = examples.read(config, listener=notes.append).validation
    fresh = unlearned([str(one.text) for one in held], first)
    assert fresh >= 30
    assert len(held) <= unlearned([*before, *new], first)


def test_texts_in_memory_are_held_out_by_the_same_rule(run: Run, tmp_path: Path) -> None:
    texts, _, first = a_whole_and_its_beginning(run, tmp_path)
    labels = ["good", "bad"] * 150
    sets = {"model__embedding": 8, "model__hidden": 8, "model__sentence_embedding": 0, "train__epochs": 1}
    model = fit(texts, labels, model__init=str(first), seed=0, **sets)
    model.save(tmp_path / "second.pt")
    assert unlearned(texts, tmp_path / "second.pt") == 30
    notes: list[object] = []
    seen = [text for text in texts if unlearned([text], first) == 0][:8]
    given = (seen, [labels[texts.index(text)] for text in seen])
    fit(texts, labels, model__init=str(first), validation=given, listener=notes.append, **sets)
    assert any("has learned from 8 of 8 texts" in one.text for one in notes if isinstance(one, Noted))
    assert load(tmp_path / "second.pt").predict(texts[:1])


def test_a_class_that_the_initial_model_has_learned_whole_is_held_out_too_and_reported(
    run: Run, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation_split, "ENOUGH", 10)
    table, part = tmp_path / "whole.csv", tmp_path / "part.csv"
    written(part, range(100))
    (tmp_path / "valid.csv").write_text("text,label\nanother warm film,good\na cruel one,bad\n", "utf-8")
    folder = tmp_path / "data"
    folder.mkdir()
    part.rename(folder / "train.csv")
    (tmp_path / "valid.csv").rename(folder / "validation.csv")
    first = begun(run, folder, None, tmp_path / "first")
    rows = (folder / "train.csv").read_text("utf-8") + "".join(f"a warm film again {n},good\n" for n in range(100))
    table.write_text(rows, "utf-8")
    begun(run, table, first, tmp_path / "second")
    remarks = " ".join(capsys.readouterr().err.split())
    assert "has learned from 10 of 30 texts, which flatters its score" in remarks  # a third of the texts are bad
    assert Counter(line.rsplit(",", 1)[1] for line in rows.splitlines()[1:]) == {"good": 200, "bad": 100}


def test_validation_texts_of_a_file_are_reported_where_the_initial_model_has_learned_them(
    run: Run, tmp_path: Path, capsys: Captured
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    written(folder / "train.csv", range(40))
    first = begun(run, folder / "train.csv", None, tmp_path / "first")
    written(folder / "validation.csv", range(40))
    begun(run, folder, first, tmp_path / "second")
    assert "has learned from 72 of 80 texts" in " ".join(capsys.readouterr().err.split())


def test_a_language_model_has_learned_no_labels_and_a_missing_model_nothing(
    tmp_path: Path,
) -> None:
    texts = [Example(f"{text} {number}", label) for number in range(40)
             for text, label in ((GOOD[0], "good"), (BAD[0], "bad"))]  # fmt: skip
    path = untrained("lm", tmp_path / "lm.pt")
    found = checkpoints.load(path)
    checkpoints.save(replace(found, tensors=found.tensors | learned_by(texts[:40])), path)
    config = recipes.load("table", overrides=["model.init=none"])
    expected = validation_split.hold_out(config, texts, "mine.csv")
    for other in (path, tmp_path / "none.pt"):
        config = recipes.load("table", overrides=[f"model.init={other}"])
        assert validation_split.hold_out(config, texts, "mine.csv") == expected
    of_words = recipes.load("lm", overrides=[f"model.init={path}"])
    rest, held = validation_split.hold_out(of_words, texts, "mine.csv")
    assert (len(held), len(rest)) == (8, 72)
    assert {one.text for one in held} <= {one.text for one in texts[40:]}
    notes: list[object] = []
    one = [Example(" ".join(str(text.text) for text in texts))]
    checkpoints.save(replace(found, tensors=found.tensors | learned_by(one)), path)
    validation_split.hold_out(of_words, one, "mine.txt", listener=notes.append)
    assert any("has learned from 1 of 1 text" in note.text for note in notes if isinstance(note, Noted))
