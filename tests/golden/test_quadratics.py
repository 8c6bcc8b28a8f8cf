"""The race of optimisers on quadratics, against plain numpy and on small things."""

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from lstmcli import recipes
from lstmcli.data import quadratics
from lstmcli.engine import checkpoint as checkpoints
from lstmcli.engine import plot
from lstmcli.engine.quadratics import HANDMADE, OPTIMIZER, Problems, best_rate, by_hand

SMALL = ["train.epochs=2", "train.lr=0.01", "learner.steps=12", "learner.hidden=4", "episodes.batch=4",
         "episodes.count=8"]  # fmt: skip


def test_problems_are_drawn_by_seed() -> None:
    one, two, other = quadratics.draw(3, 0, 1), quadratics.draw(3, 0, 1), quadratics.draw(3, 0, 2)
    assert one.tokens.equal(two.tokens)
    assert not one.tokens.equal(other.tokens)
    assert one.tokens.shape == (3, quadratics.SIZE, quadratics.SIZE)


def test_gradient_descent_by_hand_is_gradient_descent() -> None:
    problems = quadratics.draw(3, 7)
    ours = by_hand("sgd", 0.005, problems, 20)
    for place in range(3):
        w, y = problems.tokens[place].double().numpy(), problems.targets[place].double().numpy()
        at = np.zeros(quadratics.SIZE)
        for step in range(21):
            assert ours[step, place] == pytest.approx(np.square(w @ at - y).sum(), rel=1e-4)
            at -= 0.005 * 2 * w.T @ (w @ at - y)


def test_an_untrained_optimiser_is_momentum() -> None:
    config = recipes.load("quadratics-lstm-optimizer", overrides=["learner.lr=0.005"])
    problems = quadratics.draw(20, 7)
    ours, theirs = Problems(config).curves(problems), by_hand("momentum", 0.005, problems, 100)
    np.testing.assert_allclose(ours[:20], theirs[:20], rtol=1e-3)


def test_the_best_rate_is_the_best_of_the_grid() -> None:
    from lstmcli.engine.quadratics import RATES

    problems = quadratics.draw(50, 7)
    ends = {rate: np.median(by_hand("adam", rate, problems, 30)[-1]) for rate in RATES}
    assert best_rate("adam", problems, 30) == min(ends, key=ends.__getitem__)


def test_a_race_is_run_and_written(run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sets = [part for override in SMALL for part in ("--set", override)]
    arguments = ["train", "quadratics-lstm-optimizer", *sets, "--out", tmp_path / "race", "--threads", "1"]
    assert run(*arguments, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert set(said["medians"]) == {"learned", *HANDMADE}
    assert all(len(curve) == 13 for curve in said["curves"].values())
    for factor in said["factors"].values():
        assert 0 < factor["low"] <= factor["value"] <= factor["high"]
    assert json.loads((tmp_path / "race" / "race.json").read_text())["medians"] == said["medians"]
    assert {name.split("/")[0] for name in checkpoints.load(tmp_path / "race" / OPTIMIZER).tensors} == {"learner"}
    assert run("predict", "-c", tmp_path / "race" / OPTIMIZER, "fine") == 2
    assert "a learned optimiser" in capsys.readouterr().err
    assert run(*arguments, "--resume") == 2


def test_a_picture_leaves_out_what_it_cannot_show() -> None:
    picture = ElementTree.fromstring(plot.of({"one": [1.0, 0.1, 0.0], "two": [1.0, float("inf"), 0.01]}))
    lines = [each.get("points") for each in picture.iter() if each.get("stroke-width")]
    assert [len(line.split()) for line in lines] == [2, 2]
