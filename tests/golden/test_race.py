"""The race of optimisers, against plain numpy and on small things."""

import copy
import json
import signal
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from lstmcli import recipes, registry
from lstmcli.errors import ConfigError
from lstmcli.events import Event, Interrupted, Listener, Noted, silent
from lstmcli.race import classifiers, plot, quadratics, race
from lstmcli.race.problems import HAND_DESIGNED, LEAST, RATES, WORST, Problems, _bounded
from lstmcli.race.race import _learned
from lstmcli.storage import run_folder
from lstmcli.types import Batch

SMALL = ["train.epochs=2", "train.lr=0.01", "learner.steps=12", "learner.hidden=4", "episodes.batch=4",
         "episodes.count=8"]  # fmt: skip


def problems_of(*sets: str) -> Problems:
    return Problems(recipes.load("quadratics-lstm-optimizer", overrides=[*sets, "threads=1"]))


@pytest.mark.parametrize("name", sorted(registry.PROBLEMS))
def test_problems_are_drawn_by_part_and_seed(name: str) -> None:
    kind = registry.find(registry.PROBLEMS, name)
    one, two = kind.draw(3, "train", 0, 1), kind.draw(3, "train", 0, 1)
    assert one.tokens.equal(two.tokens)
    assert one.targets.equal(two.targets)
    for other in (kind.draw(3, "train", 0, 2), kind.draw(3, "train", 1, 1), kind.draw(3, "test", 0, 1)):
        assert not one.tokens.equal(other.tokens)
    assert one.tokens.shape[0::2] == (3, kind.SIZES[0])


def test_classifiers_read_reviews_of_their_part_alone_and_as_many_of_each_label() -> None:
    drawn = classifiers.draw(4, "test", 0)
    assert drawn.targets.tolist() == [[0] * (classifiers.TEXTS // 2) + [1] * (classifiers.TEXTS // 2)] * 4
    gram = {part: classifiers._features(part)[0] for part in classifiers.PARTS}
    assert {part: len(rows) for part, rows in gram.items()} == {"train": 312, "validation": 72, "test": 96}
    for rows in gram.values():
        np.testing.assert_allclose(np.square(rows).sum(axis=1), 1, rtol=1e-5)


def test_gradient_descent_is_its_equation() -> None:
    problems = quadratics.draw(3, "test", 7)
    actual = problems_of("learner.steps=20").hand_designed_losses("sgd", 0.005, problems)
    assert actual.shape == (21, 3)
    for index in range(3):
        w, y = problems.tokens[index].double().numpy(), problems.targets[index].double().numpy()
        at = np.zeros(quadratics.SIZES[0])
        for step in range(21):
            assert actual[step, index] == pytest.approx(np.square(w @ at - y).sum(), rel=1e-4)
            at -= 0.005 * 2 * w.T @ (w @ at - y)


@pytest.mark.parametrize("name", HAND_DESIGNED)
def test_one_optimiser_for_all_problems_is_one_for_each(name: str) -> None:
    """Of a network too, whose weights have several shapes."""
    sets = ["data.name=classifiers", "learner.steps=5", "threads=1"]
    race = Problems(recipes.load("quadratics-lstm-optimizer", overrides=sets))
    drawn = classifiers.draw(2, "test", 0)
    actual = race.hand_designed_losses(name, 0.01, drawn)
    for index in range(2):
        net = copy.deepcopy(race.net)
        optimizer = HAND_DESIGNED[name](list(net.parameters()), 0.01)
        for step in range(6):
            optimizer.zero_grad()
            reached = torch.nn.functional.cross_entropy(net(one(drawn, index)).logits, drawn.targets[index])
            assert actual[step, index] == pytest.approx(reached.item(), rel=1e-4)
            reached.backward()
            optimizer.step()


def one(drawn: Batch, index: int) -> Batch:
    return Batch(drawn.tokens[index], drawn.lengths[index], drawn.targets[index])


def test_an_untrained_optimiser_is_momentum() -> None:
    race = problems_of("learner.lr=0.005", "learner.momentum=0.9", "learner.sees_task=false")
    problems = quadratics.draw(20, "test", 7)
    actual, reference = race.learned_losses(problems), race.hand_designed_losses("momentum", 0.005, problems)
    np.testing.assert_allclose(actual[:20], reference[:20], rtol=1e-3)


def test_losses_are_clamped_to_finite_bounds() -> None:
    assert _bounded(torch.tensor([0.0, 1.0, float("inf"), float("nan")])).tolist() == [LEAST, 1, WORST, WORST]


def test_a_gradient_that_is_not_finite_is_ignored() -> None:
    value = next(problems_of(*SMALL).learner.parameters())
    (value * float("nan")).sum().backward()
    assert not value.grad.any()


@pytest.mark.parametrize(("scores", "kept"), [((0.0, -1.0, -2.0), 0), ((0.0, 2.0, 1.0), 1), ((0.0, 1.0, 2.0), 2)])
def test_the_learner_ends_at_its_best_state_which_may_be_the_first(
    scores: tuple[float, ...], kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    race = problems_of(*SMALL)
    seen: list[dict[str, torch.Tensor]] = []

    def evaluate(*, listener: Listener) -> dict[str, float]:
        seen.append(copy.deepcopy(race.learner.state_dict()))
        return {"score": scores[len(seen) - 1], "loss": -scores[len(seen) - 1]}

    monkeypatch.setattr(race, "evaluate", evaluate)
    _learned(race, silent)
    assert len(seen) == 3
    now = race.learner.state_dict()
    same = [all(torch.equal(state[name], now[name]) for name in now) for state in seen]
    assert same == [index == kept for index in range(3)]


def test_the_best_rate_is_the_best_of_the_grid() -> None:
    race = problems_of("learner.steps=10")
    race.validation = quadratics.draw(20, "test", 7)
    ends = {rate: np.median(race.hand_designed_losses("adam", rate, race.validation)[-1]) for rate in RATES}
    assert race.best_rate("adam") == min(ends, key=ends.__getitem__)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [quadratics, classifiers])
def test_a_race_is_run_and_written(
    kind: ModuleType,
    run: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kind, "COUNT", 10)
    monkeypatch.setattr("lstmcli.race.problems.RATES", RATES[::6])
    recipe = f"{kind.__name__.rpartition('.')[2]}-lstm-optimizer"
    sets = [part for override in SMALL for part in ("--set", override)]
    arguments = ["train", recipe, *sets, "--out", tmp_path / "race", "--threads", "1"]
    assert run(*arguments, "--json", "--dry-run") == 0
    assert json.loads(capsys.readouterr().out)["steps"] == 4
    assert not (tmp_path / "race").exists()
    assert run(*arguments, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert set(result["medians"]) == {"learned", *HAND_DESIGNED}
    assert all(len(curve) == 13 for curve in result["curves"].values())
    for factor in result["factors"].values():
        assert 0 < factor["low"] <= factor["value"] <= factor["high"]
    assert json.loads((tmp_path / "race" / "race.json").read_text())["medians"] == result["medians"]
    assert {name.split("/")[0] for name in torch.load(tmp_path / "race" / run_folder.OPTIMIZER)["tensors"]} == {
        "learner"
    }
    optimizer = tmp_path / "race" / run_folder.OPTIMIZER
    init = ("train", "reviews", "--out", tmp_path / "other", "--set")
    for command in (["predict", "fine", "-c", optimizer], ["evaluate", "-c", optimizer], ["adapt", "-c", optimizer],
                    [*init, f"model.init={optimizer}"], [*init, f"model.vectors={optimizer}"]):  # fmt: skip
        assert run(*command) == 2
        assert "a learned optimiser" in " ".join(capsys.readouterr().err.split())
    assert run(*arguments, "--resume") == 2


def test_a_race_that_was_run_is_not_written_over(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / run_folder.OPTIMIZER).write_bytes(b"of an hour")
    sets = [f"--set={one}" for one in SMALL]
    assert run("train", "quadratics-lstm-optimizer", "--out", tmp_path, "-q", *sets) == 2
    assert "optimizer.pt already exist" in capsys.readouterr().err
    assert (tmp_path / run_folder.OPTIMIZER).read_bytes() == b"of an hour"


def test_a_race_is_not_resumed(run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train", "quadratics-lstm-optimizer", "--resume", "--out", tmp_path, "-q") == 2
    assert "cannot be resumed" in capsys.readouterr().err


def test_an_interrupted_race_keeps_what_was_learned(tmp_path: Path) -> None:
    config = recipes.load("quadratics-lstm-optimizer", overrides=[*SMALL, "threads=1"])
    (tmp_path / race.RACE).write_text("of another optimiser")
    seen: list[Event] = []

    def listener(event: Event) -> None:
        if isinstance(event, Noted) and not any(isinstance(one, Noted) for one in seen):  # of the first epoch
            signal.raise_signal(signal.SIGINT)
        seen.append(event)

    with pytest.raises(KeyboardInterrupt):
        race.run(config, tmp_path, listener=listener)
    assert sum(isinstance(one, Noted) for one in seen) == 1
    assert seen[-1] == Interrupted(tmp_path / run_folder.OPTIMIZER, resumable=False)
    kept = torch.load(tmp_path / run_folder.OPTIMIZER)["tensors"]
    assert {name.split("/")[0] for name in kept} == {"learner"}
    assert not (tmp_path / race.RACE).exists()


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (["episodes=none"], "not one meta-batch"),
        (["episodes.batch=9"], "not one meta-batch"),
        (["learner.head_init=prototypes"], "--set learner.head_init=model"),
        (["learner.multi_step_loss_weight=0.5"], "--set learner.multi_step_loss_weight=0"),
        (["device=cuda"], "--set device=cpu"),
        (["precision=bfloat16"], "--set precision=float32"),
        (["data.limit=9"], "--set data.limit=none"),
        (["data.text_column=body"], "--set data.text_column=text"),
        (["model.hidden=9"], "--set model.hidden=128"),
        (["train.ema_decay=0.9"], "--set train.ema_decay=none"),
        (["train.crop=9"], "--set train.crop=none"),
        (["episodes.shots=9"], "--set episodes.shots=5"),
    ],
)
def test_what_the_benchmark_cannot_do_is_reported(sets: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        problems_of(*SMALL, *sets)
    assert message in f"{caught.value.what} {caught.value.fix}"


@pytest.mark.parametrize(
    ("name", "message"), [("ridge", "no steps"), ("reptile", "nothing to learn"), ("finetune", "nothing to learn")]
)
def test_a_learner_without_parameters_is_refused(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "race.yaml").write_text(f"{{data: {{name: quadratics}}, episodes: {{}}, learner: {{name: {name}}}}}")
    with pytest.raises(ConfigError, match=message):
        Problems(recipes.load(str(tmp_path / "race.yaml")))


def test_a_picture_leaves_out_what_it_cannot_show() -> None:
    picture = ElementTree.fromstring(plot.of({"one": [1.0, 0.1, 0.0], "two": [1.0, float("inf"), 0.01]}))
    lines = [each.get("points") for each in picture.iter() if each.get("stroke-width")]
    assert [len(line.split()) for line in lines] == [2, 2]
