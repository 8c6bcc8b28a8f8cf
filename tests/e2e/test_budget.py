"""``train --budget`` as people use it. Where time decides, the clock is the test's own."""

import json
import os
import signal
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch

import lstmcli
from lstmcli import recipes, search
from lstmcli.config import RunConfig
from lstmcli.errors import ConfigError
from lstmcli.events import Event, Searched, Searching, Tried
from lstmcli.search import attempt, space
from lstmcli.search.limits import Clock
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage import examples, run_folder
from lstmcli.storage.examples import Inputs
from lstmcli.training import train
from tests.conftest import BAD, GOOD, SMALL, write_table
from tests.stopping import Killed

Run = Callable[..., int]
Captured = pytest.CaptureFixture[str]
FREE = "model.word_dropout"  # the only key that is searched: the space is soon exhausted, whatever the machine
SETTINGS = [*SMALL, "train.epochs=2", "train.weight_decay=0.01", "train.adversarial_epsilon=none", "tokens.size=1000",
            "model.bag_of_words=0", "train.best_by=score", "threads=1", "seed=3"]  # fmt: skip
PINNED = [setting.partition("=")[0] for setting in SETTINGS]
SETS = [part for setting in SETTINGS for part in ("--set", setting)]
TRIALS = len(space.SPACE[space.SCRATCH][FREE])  # one of them is the recipe's own value


@pytest.fixture
def given(table: Path) -> tuple[RunConfig, Inputs]:
    config = recipes.load(str(table), overrides=SETTINGS)
    return config, examples.read(config)


def lines(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (out / run_folder.TRIALS).read_text().splitlines()]


def ticking(budget: float) -> search.Limits:
    """A clock of which every look takes a second."""
    ticks = count()
    return search.Limits(Clock(budget, now=lambda: float(next(ticks))))


def same_weights(one: Path, other: Path) -> bool:
    first, second = (checkpoints.load(path).tensors for path in (one, other))
    return first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())


def test_a_search_leaves_the_best_model_and_what_was_tried(
    run: Run, table: Path, tmp_path: Path, capsys: Captured
) -> None:
    out = tmp_path / "run"
    assert run("train", table, *SETS, "--budget", "1h", "--out", out) == 0
    shown = capsys.readouterr()
    tried = [json.loads(line) for line in shown.out.splitlines()]  # clean data in a pipe
    assert tried == lines(out)
    assert [trial["number"] for trial in tried] == list(range(TRIALS))
    assert (tried[0]["settings"], tried[0]["best"], tried[0]["state"]) == ({}, True, "finished")
    assert len({json.dumps(trial["settings"]) for trial in tried}) == TRIALS
    assert "all recipes of the search were tried" in shown.err
    assert not (out / ".trial").exists()
    assert run("predict", "-c", out, "a warm and quiet film") == 0
    assert run("evaluate", "-c", out, "--data", table, "--json") == 0


def test_the_first_trial_is_the_default_recipe_to_the_bit(given: tuple[RunConfig, Inputs], tmp_path: Path) -> None:
    config, inputs = given
    search.run(config, inputs, tmp_path / "found", search.Limits(Clock(3600)), pinned=PINNED)
    train.run(config, inputs, tmp_path / "plain")
    default = tmp_path / "found" / run_folder.DEFAULT
    assert same_weights(default if default.is_file() else tmp_path / "found" / run_folder.MODEL, tmp_path / "plain")


def test_json_has_the_trials_and_the_one_that_is_kept(run: Run, table: Path, tmp_path: Path, capsys: Captured) -> None:
    assert run("train", table, *SETS, "--budget", "1h", "--out", tmp_path / "run", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["trials"] == lines(tmp_path / "run")
    kept = [trial["number"] for trial in shown["trials"] if trial["best"]][-1]
    assert shown["chosen"] == kept
    loss = checkpoints.load(tmp_path / "run" / run_folder.MODEL).config
    assert loss.model.word_dropout == ({FREE: 0.05} | shown["trials"][kept]["settings"])[FREE]  # type: ignore[union-attr]


def better_after(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let trial ``number`` be much better than the default, whatever it learned."""
    judged, ended = attempt._outcome, count()

    def outcome(*arguments: object) -> object:
        found = judged(*arguments)  # type: ignore[arg-type]
        if next(ended) == number:
            found.predicted[:] = found.targets
            found.likelihood[:] = -1e-3 * np.arange(len(found.targets))
        return found

    monkeypatch.setattr(attempt, "_outcome", outcome)


def test_a_better_recipe_is_kept_and_the_default_stays_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = write_table(tmp_path / "mine.csv", copies=20)  # four validation texts prove nothing
    config = recipes.load(str(table), overrides=SETTINGS)
    inputs = examples.read(config)
    better_after(1, monkeypatch)
    events: list[Event] = []
    search.run(config, inputs, tmp_path, search.Limits(Clock(3600)), pinned=PINNED, listener=events.append)
    tried = lines(tmp_path)
    assert [trial["best"] for trial in tried] == [True, True, False]
    kept, default = (checkpoints.load(tmp_path / name) for name in (run_folder.MODEL, run_folder.DEFAULT))
    assert kept.config.model.word_dropout == tried[1]["settings"][FREE]  # type: ignore[union-attr, index]
    assert default.config.model.word_dropout == config.model.word_dropout  # type: ignore[union-attr]
    assert next(event for event in events if isinstance(event, Searched)).chosen == 1
    assert {path.name for path in tmp_path.iterdir()} - {"mine.csv"} == {
        run_folder.MODEL, run_folder.DEFAULT, run_folder.METRICS, run_folder.RECIPE, run_folder.TRIALS
    }  # fmt: skip


def test_a_trial_that_would_run_past_the_budget_is_stopped(given: tuple[RunConfig, Inputs], tmp_path: Path) -> None:
    config, inputs = given
    search.run(config, inputs, tmp_path / "whole", ticking(1e9), pinned=PINNED)
    first, second = lines(tmp_path / "whole")[:2]
    budget = float(first["elapsed"]) + 0.7 * float(second["seconds"])  # type: ignore[arg-type]
    search.run(config, inputs, tmp_path / "short", ticking(budget), pinned=PINNED)
    tried = lines(tmp_path / "short")
    assert [trial["state"] for trial in tried] == ["finished", "stopped"]
    assert tried[1]["metrics"] == {}
    assert float(tried[1]["elapsed"]) <= 1.1 * budget  # type: ignore[arg-type]


def test_the_best_epoch_so_far_is_kept_where_the_budget_is_shorter_than_the_recipe(
    given: tuple[RunConfig, Inputs], tmp_path: Path
) -> None:
    config, inputs = given
    config = config.model_copy(update={"train": config.train.model_copy(update={"epochs": 200})})
    search.run(config, inputs, tmp_path, ticking(300), pinned=PINNED)
    assert [trial["state"] for trial in lines(tmp_path)] == ["stopped"]
    assert checkpoints.load(tmp_path).temperature != 1.0  # concluded as any other
    assert float(lines(tmp_path)[0]["elapsed"]) <= 330  # type: ignore[arg-type]
    search.run(config, inputs, tmp_path, ticking(20_000), resume=True, pinned=PINNED)  # the recipe again, then others
    assert [trial["state"] for trial in lines(tmp_path)[:2]] == ["stopped", "finished"]
    assert lines(tmp_path)[1]["settings"] == {}
    assert lines(tmp_path)[1]["best"]


def test_a_budget_without_any_evaluation_is_refused_with_a_longer_one(
    given: tuple[RunConfig, Inputs], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="too short") as error:
        search.run(*given, tmp_path / "run", ticking(3), pinned=PINNED)
    assert "--budget" in error.value.fix
    assert not (tmp_path / "run" / run_folder.MODEL).exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_search_keeps_the_best_so_far_and_goes_on(
    run: Run, table: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    from lstmcli.search import search as loop

    write, sent = loop.trials.write, []

    def interrupting(tried: list[object], out: Path) -> None:
        write(tried, out)  # type: ignore[arg-type]
        if not sent:
            sent.append(os.kill(os.getpid(), number))

    monkeypatch.setattr(loop.trials, "write", interrupting)
    arguments = ["train", table, *SETS, "--budget", "1h", "--out", tmp_path / "run"]
    assert run(*arguments) == code
    assert "--resume" in capsys.readouterr().err
    assert len(lines(tmp_path / "run")) == 1
    before = (tmp_path / "run" / run_folder.MODEL).read_bytes()
    assert run("predict", "-c", tmp_path / "run", "fine") == 0
    assert run(*arguments, "--resume") == 0
    assert [trial["number"] for trial in lines(tmp_path / "run")] == list(range(TRIALS))
    default = tmp_path / "run" / run_folder.DEFAULT
    assert (default if default.is_file() else tmp_path / "run" / run_folder.MODEL).read_bytes() == before


def test_a_resumed_search_compares_as_one_that_was_not_stopped(given: tuple[RunConfig, Inputs], tmp_path: Path) -> None:
    config, inputs = given

    def stopping(event: Event) -> None:
        if isinstance(event, Tried):
            raise Killed

    with pytest.raises(Killed):
        search.run(config, inputs, tmp_path / "two", search.Limits(Clock(3600)), pinned=PINNED, listener=stopping)
    search.run(config, inputs, tmp_path / "two", search.Limits(Clock(3600)), resume=True, pinned=PINNED)
    search.run(config, inputs, tmp_path / "one", search.Limits(Clock(3600)), pinned=PINNED)
    by_setting = [
        {json.dumps(trial["settings"]): (trial["metrics"], trial["advantage"]) for trial in lines(tmp_path / name)}
        for name in ("one", "two")
    ]
    assert by_setting[0].keys() == by_setting[1].keys()
    for setting, (metrics, advantage) in by_setting[0].items():
        assert metrics == pytest.approx(by_setting[1][setting][0])
        assert advantage is None or advantage == pytest.approx(by_setting[1][setting][1])


def test_a_search_goes_on_with_a_longer_budget_and_its_own_recipe_alone(
    run: Run, table: Path, tmp_path: Path, capsys: Captured, given: tuple[RunConfig, Inputs]
) -> None:
    out = tmp_path / "run"
    search.run(*given, out, ticking(10_000), pinned=PINNED)
    arguments = ["train", table, *SETS, "--out", out]
    assert run(*arguments, "--budget", "1s", "--resume") == 2
    assert "already" in capsys.readouterr().err
    assert run(*arguments, "--budget", "10h", "--resume", "--seed", "4") == 2
    assert "the recipe has changed: seed" in capsys.readouterr().err
    assert run(*arguments, "--resume") == 2
    assert "--budget TIME --resume" in capsys.readouterr().err
    assert run(*arguments, "--budget", "1h") == 2  # a search is not written over
    assert "--budget TIME --resume" in " ".join(capsys.readouterr().err.split())
    (out / run_folder.TRIALS).write_text("no json\n")
    assert run(*arguments, "--budget", "10h", "--resume") == 2
    assert "not the trials of a search" in capsys.readouterr().err


MISTAKES = [
    (["--budget", "soon"], ["'soon' is not a duration", "--budget 10m"]),
    (["--budget", "0s"], ["not a duration"]),
    (["--budget", "10m", "--max-size", "small"], ["'small' is not a size", "--max-size 3MB"]),
    (["--max-size", "3MB"], ["a size is a limit of a search", "--budget 10m"]),
    (["--budget", "10m", "--learner", "ridge"], ["few-shot tasks", "leave out --budget"]),
    (["--budget", "10m", "--max-size", "1KB", *SETS], ["the smallest model of the search", "--max-size 0."]),
    (["--budget", "10m", "--resume"], ["no run to resume", "without --resume"]),
]  # fmt: skip


@pytest.mark.parametrize(("options", "named"), MISTAKES)
def test_a_mistake_is_reported(
    run: Run, table: Path, tmp_path: Path, capsys: Captured, options: list[str], named: list[str]
) -> None:
    assert run("train", table, *options, "--out", tmp_path / "run") == 2
    message = " ".join(capsys.readouterr().err.split())
    for part in named:
        assert part in message
    assert not (tmp_path / "run" / run_folder.MODEL).exists()


def test_a_dry_run_is_that_of_the_recipe(run: Run, table: Path, tmp_path: Path, capsys: Captured) -> None:
    shown = []
    for more in ([], ["--budget", "1h"]):
        assert run("train", table, *SETS, *more, "--dry-run", "--json", "--out", tmp_path / "run") == 0
        shown.append(json.loads(capsys.readouterr().out)["recipe"])
    assert shown[0] == shown[1]
    assert not (tmp_path / "run").exists()


def test_without_optuna_the_line_that_installs_it_is_shown_before_anything_else(
    run: Run, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lstmcli.search import limits

    monkeypatch.setattr(limits, "find_spec", lambda name: None if name == "optuna" else pytest.fail(name))
    (tmp_path / "bad.csv").write_text("text,label\n,\n")  # not read
    assert run("train", tmp_path / "bad.csv", "--budget", "10m", "--out", tmp_path / "run") == 2
    assert "pip install 'lstmcli[budget]'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_the_model_is_no_larger_than_allowed(given: tuple[RunConfig, Inputs], tmp_path: Path) -> None:
    config, inputs = given
    plain = attempt.size_of(config, inputs)
    pinned = [key for key in PINNED if key not in ("model.embedding", "model.hidden", "model.bag_of_words")]
    wide = config.model_copy(update={"model": config.model.model_copy(update={"hidden": 256, "embedding": 256})})
    limits = search.Limits(Clock(1e9, now=iter(range(10**9)).__next__), max_bytes=plain + 200_000)
    stop_after = 4

    def listener(event: Event) -> None:
        if isinstance(event, Tried) and event.trial["number"] == stop_after:
            raise Killed

    with pytest.raises(Killed):
        search.run(wide, inputs, tmp_path, limits, pinned=pinned, listener=listener)
    tried = lines(tmp_path)
    assert tried[0]["state"] == "too large"
    assert any(trial["best"] for trial in tried)
    written = (tmp_path / run_folder.MODEL).stat().st_size
    assert written <= plain + 200_000
    for trial in tried:
        assert (trial["state"] == "too large") == (trial["bytes"] > plain + 200_000)  # type: ignore[operator]


def test_the_progress_is_that_of_the_clock(given: tuple[RunConfig, Inputs], tmp_path: Path) -> None:
    events: list[Event] = []
    limits = ticking(2_000)
    search.run(*given, tmp_path, limits, pinned=PINNED, listener=events.append)
    seen = [event for event in events if isinstance(event, Searching)]
    elapsed = [event.elapsed for event in seen]
    assert elapsed == sorted(elapsed)
    assert elapsed[-1] <= limits.clock.elapsed
    finished = 0
    for event in events:
        finished += isinstance(event, Tried)
        assert not isinstance(event, Searching) or event.trials == finished
    assert seen[-1].best["accuracy"] == lines(tmp_path)[0]["metrics"]["accuracy"]  # type: ignore[index]


@pytest.fixture
def texts() -> tuple[list[str], list[str]]:
    found = [f"{text} {number}" for number in range(5) for text in (*GOOD, *BAD)]
    return found, (["good"] * len(GOOD) + ["bad"] * len(BAD)) * 5


def test_fit_searches_too(texts: tuple[list[str], list[str]]) -> None:
    values = {key.replace(".", "__"): value for key, value in
              (setting.split("=") for setting in SETTINGS if not setting.startswith("seed"))}  # fmt: skip
    tried: list[Event] = []
    model = lstmcli.fit(*texts, budget="1h", seed=3, listener=tried.append, **values)
    assert sum(isinstance(event, Tried) for event in tried) == TRIALS
    assert set(model.predict(["a warm and quiet film"])) <= {"good", "bad"}
    with pytest.raises(ConfigError, match="not a duration") as error:
        lstmcli.fit(*texts, budget="soon")
    assert "budget='10m'" in error.value.fix
    with pytest.raises(ConfigError, match="limit of a search") as error:
        lstmcli.fit(*texts, max_size="3MB")
    assert error.value.fix.endswith("budget='10m' max_size='3MB'")


def test_uneven_classes_are_searched_for_class_weights_by_macro_f1(tmp_path: Path) -> None:
    rows = [f"{text} {number},{label}" for number in range(12) for label, group in (("good", GOOD), ("bad", BAD[:1]))
            for text in (group * 2 if label == "good" else group)]  # fmt: skip
    path = tmp_path / "uneven.csv"
    path.write_text("text,label\n" + "\n".join(rows) + "\n")
    config = recipes.load(str(path), overrides=[*SETTINGS, "data.validation=0.2"])
    events: list[Event] = []
    pinned = [*PINNED, FREE]
    search.run(config, examples.read(config), tmp_path / "run", search.Limits(Clock(3600)), pinned=pinned,
               listener=events.append)  # fmt: skip
    weights = [trial["settings"].get("train.class_weights") for trial in lines(tmp_path / "run")]  # type: ignore[attr-defined]
    assert sorted(map(str, weights)) == ["None", "adjusted", "balanced"]
    assert next(event for event in events if isinstance(event, Searched)).headline == "macro_f1"


def test_other_data_cannot_go_on(given: tuple[RunConfig, Inputs], tmp_path: Path) -> None:
    config, inputs = given
    search.run(config, inputs, tmp_path / "run", ticking(10_000), pinned=PINNED)
    other = recipes.load(str(write_table(tmp_path / "other.csv", copies=6)), overrides=SETTINGS)
    with pytest.raises(ConfigError, match="has changed"):
        search.run(other, examples.read(other), tmp_path / "run", ticking(1e6), resume=True, pinned=PINNED)
