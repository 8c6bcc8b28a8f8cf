"""``predict --select``: which texts of a pool it writes, and that ``adapt`` learns only what the user has filled in."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lstmcli import Model, load
from lstmcli.errors import ConfigError
from lstmcli.inference import select
from lstmcli.storage import text_io
from tests.conftest import BAD, GOOD, untrained

Run = Callable[..., int]
Captured = pytest.CaptureFixture[str]
WORDS = " ".join(GOOD + BAD).split()


@pytest.fixture
def model(trained: Path) -> Model:
    return load(trained, threads=1)


@pytest.fixture
def pool() -> list[str]:
    """Random texts of words that the model knows, and some of them twice."""
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(WORDS, random.integers(3, 7))) for _ in range(120)]
    return [*texts, *(text.upper() for text in texts[:20])]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_uncertainty_is_one_minus_the_margin() -> None:
    probabilities = np.array([[0.7, 0.1, 0.2], [0.4, 0.4, 0.2], [0.0, 1.0, 0.0]])
    np.testing.assert_allclose(select.uncertainty(probabilities), [0.5, 1.0, 0.0])


def test_one_text_of_each_cluster_is_chosen_and_nearer_to_uncertain_ones() -> None:
    random = np.random.default_rng(0)
    centres = np.eye(5) * 10
    embeddings = np.concatenate([centre + random.normal(size=(20, 5)) * 0.1 for centre in centres])
    chosen = select.diverse(embeddings, np.ones(100), 5, seed=0)
    assert sorted(chosen // 20) == [0, 1, 2, 3, 4]
    line = np.array([[0.0], [1.0], [2.0]])  # the centre is drawn to the uncertain text
    assert select.diverse(line, np.array([0.0, 0.0, 1.0]), 1, seed=0).tolist() == [2]
    assert select.diverse(line, np.ones(3), 5, seed=0).tolist() == [0, 1, 2]
    assert len(set(select.diverse(np.zeros((9, 2)), np.ones(9), 4, seed=0).tolist())) == 4  # all alike


def test_without_clusters_they_are_the_most_uncertain_texts(
    model: Model, pool: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(select, "CANDIDATES", 1)
    found = model.select(pool, 15)
    uncertain = select.uncertainty(model.predict_proba(pool).round(6))
    order = [index for index in (-uncertain).argsort(kind="stable").tolist() if index < 120]  # the first of equals
    assert found == order[:15]


def test_they_are_among_the_uncertain_and_the_seed_decides(model: Model, pool: list[str]) -> None:
    found = model.select(pool, 6)
    assert found == model.select(pool, 6, seed=0)
    assert len({pool[index].lower() for index in found}) == 6
    uncertain = select.uncertainty(model.predict_proba(pool))
    assert uncertain[found].min() >= np.sort(uncertain[:120])[-6 * select.CANDIDATES] - 1e-6
    assert sorted(model.select(pool, 500)) == list(range(120))


def test_learned_texts_are_not_chosen_again(model: Model, pool: list[str]) -> None:
    first = model.select(pool, 10)
    labels = ["good", "bad"] * 5
    adapted = model.adapt([pool[index] for index in first], labels, learner="ridge")
    assert len(adapted._checkpoint.group("learned")["texts"]) >= 10
    assert not {pool[index].lower() for index in first} & {pool[index] for index in adapted.select(pool, 500)}


def test_a_pool_is_read_in_pieces_with_the_same_result(
    run: Run, trained: Path, pool: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pool.txt").write_text("\n".join(pool))
    for window in (4096, 7):
        monkeypatch.setattr(text_io, "WINDOW", window)
        path = tmp_path / f"{window}.csv"
        assert run("predict", "-c", trained, "--select", 6, "-i", tmp_path / "pool.txt", "-o", path, "-q") == 0
    assert rows(tmp_path / "4096.csv") == rows(tmp_path / "7.csv")
    assert [int(row["row"]) - 1 for row in rows(path)] == load(trained, threads=1).select(pool, 6)


def test_adapt_learns_what_was_filled_in_and_no_proposal(
    run: Run, trained: Path, pool: list[str], tmp_path: Path, capsys: Captured
) -> None:
    lines = [{"id": str(number), "review": text} for number, text in enumerate(pool)] + [{"id": "x", "review": " "}]
    (tmp_path / "pool.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    options = ("--select", 12, "--text-column", "review", "--keep", "id")
    path = tmp_path / "chosen.csv"
    assert run("predict", "-c", trained, *options, "-i", tmp_path / "pool.jsonl", "-o", path) == 0
    shown = capsys.readouterr().err
    assert "rows with an empty label are not learned" in shown
    assert "1 row that cannot be used was skipped" in shown
    found = rows(path)
    assert list(found[0]) == ["row", "text", "label", "proposal", "probability", "id"]
    assert [(row["text"], row["label"]) for row in found] == [(pool[int(row["id"])], "") for row in found]
    assert {row["proposal"] for row in found} <= {"good", "bad"}

    arguments = ("adapt", "-c", trained, "--data", path, "--shots", 50, "--json", "--out", tmp_path / "adapted.pt")
    assert run(*arguments) == 2  # nothing is filled in
    assert "label" in capsys.readouterr().err
    for index, row in enumerate(found):
        row["label"] = "" if index > 7 else ("good", "bad")[index % 2]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(found[0]))
        writer.writeheader()
        writer.writerows(found)
    assert run(*arguments) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["support"] == {"bad": 4, "good": 4}
    assert "no 'label'" in shown.err


def test_a_pipe_gets_lines_that_adapt_reads(run: Run, trained: Path, pool: list[str], capsys: Captured) -> None:
    assert run("predict", "-c", trained, "--select", 2, *pool[:30]) == 0
    shown = capsys.readouterr()
    found = [json.loads(line) for line in shown.out.splitlines()]
    assert [list(answer) for answer in found] == [["row", "text", "label", "proposal", "probability"]] * 2
    assert run("predict", "-c", trained, "--select", 40, *pool[:30], "-q") == 0
    assert len(capsys.readouterr().out.splitlines()) == 30
    assert run("predict", "-c", trained, "--select", 40, *pool[:30]) == 0
    assert "the pool has only 30 different texts" in capsys.readouterr().err


def test_what_cannot_be_done_is_an_error(
    run: Run, trained: Path, model: Model, tmp_path: Path, capsys: Captured
) -> None:
    assert run("predict", "-c", trained, "--select", 2, "--explain", GOOD[0]) == 2
    assert "--explain and --select exclude each other" in capsys.readouterr().err
    assert run("predict", "-c", trained, "--select", 0, GOOD[0]) == 2
    capsys.readouterr()
    assert run("predict", "-c", untrained("entities", tmp_path / "tagger.pt"), "--select", 2, GOOD[0]) == 2
    assert "the model labels words, not whole texts" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="0 texts cannot be chosen"):
        model.select(GOOD, 0)
