"""The trials of a search on disk: forged ones are refused; after a kill at any step they agree with the model."""

import json
import os
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from lstmcli.errors import ConfigError
from lstmcli.search import attempt, limits, space, trials
from lstmcli.search.trials import Trial
from lstmcli.storage import run_folder
from tests.conftest import TIMES

FIGURES = {"accuracy": 0.9, "macro_f1": 0.8, "loss": 0.3}
FIRST = Trial(0, "", {}, "finished", 1.0, 1.0, FIGURES, best=True)
SECOND = Trial(1, space.WARM, {"train.lr": 0.001}, "finished", 1.0, 2.0, FIGURES, 0.1, 0.01, best=True)
NAMES = (run_folder.MODEL, run_folder.METRICS, run_folder.RECIPE)


class Killed(BaseException):
    """The process ended here."""


def test_what_was_written_is_read(tmp_path: Path) -> None:
    trials.write([FIRST, SECOND], tmp_path)
    assert trials.read(tmp_path) == [FIRST, SECOND]
    (tmp_path / run_folder.TRIALS).write_text("")
    assert trials.read(tmp_path) == []


@pytest.mark.parametrize(
    "changed",
    [
        {"number": 2}, {"number": "x"}, {"start": "evil"}, {"start": None}, {"settings": []}, {"settings": {"seed": 1}},
        {"settings": {"model.name.x": 1}}, {"state": "done"}, {"elapsed": "soon"}, {"elapsed": float("nan")},
        {"elapsed": -1.0}, {"seconds": float("inf")}, {"metrics": {}}, {"metrics": {"loss": 1.0}},
        {"metrics": FIGURES | {"loss": float("nan")}}, {"metrics": FIGURES | {"loss": "low"}}, {"metrics": [1]},
        {"best": "perhaps"}, {"p_value": "small"}, {"bytes": "many"}, {"reason": 1},
    ],
)  # fmt: skip
def test_forged_trials_are_refused(changed: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / run_folder.TRIALS).write_text(
        "".join(json.dumps(one) + "\n" for one in (FIRST.plain(), SECOND.plain() | changed))
    )
    with pytest.raises(ConfigError, match="not the trials of a search"):
        trials.read(tmp_path)


@pytest.mark.parametrize("text", ["[]", "{}", "null", "[" * 100_000, '{"number": 0}', "\ufeff", '"\\ud800"'])
def test_other_files_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / run_folder.TRIALS).write_text(f"{text}\n", "utf-8")
    with pytest.raises(ConfigError, match="not the trials of a search"):
        trials.read(tmp_path)


def begun(out: Path, tried: list[Trial]) -> Path:
    """A folder as it is when the last trial was recorded, and its model is not in its place yet."""
    folder = out / ".trial"
    folder.mkdir(parents=True)
    for name in NAMES:
        (folder / name).write_text(f"new {name}")
        if len(tried) > 1:
            (out / name).write_text(f"old {name}")
    trials.write(tried, out)
    return folder


@pytest.mark.parametrize("tried", [[FIRST], [FIRST, SECOND], [FIRST, replace(SECOND, best=False)]], ids=len)
@pytest.mark.parametrize("steps", range(8))
def test_a_search_killed_at_any_step_is_settled_when_it_is_resumed(
    steps: int, tried: list[Trial], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, left = tmp_path / "run", steps
    folder = begun(out, tried)
    with monkeypatch.context() as patch:
        for name in ("replace", "unlink"):
            real = getattr(os, name)

            def killing(*arguments: Any, real: Any = real, **options: Any) -> None:
                nonlocal left
                left -= 1
                if left < 0:
                    raise Killed
                real(*arguments, **options)

            patch.setattr(os, name, killing)
        try:
            attempt.settle(tried, folder, out)
        except Killed:
            assert left < 0
    if len(tried) > 1:
        assert (out / run_folder.MODEL).read_text() in ("old model.pt", "new model.pt")  # at any moment there is one
    attempt.settle(trials.read(out), folder, out)
    new = "new" if tried[-1].best else "old"
    assert {name: (out / name).read_text() for name in NAMES} == {name: f"{new} {name}" for name in NAMES}
    default = {"default.pt"} if tried[-1].p_value is not None and tried[-1].best else set()
    assert {path.name for path in out.iterdir()} == {*NAMES, run_folder.TRIALS, *default}
    assert not default or (out / run_folder.DEFAULT).read_text() == "old model.pt"


DURATIONS = [
    *(
        "",
        "m",
        "10",
        "10m",
        "1h30m",
        "0s",
        "-1m",
        "1e5s",
        "nan",
        "inf",
        "s1",
        "½h",
        "1.5.5h",
        "9" * 400 + "h",
        "\0",
        "1 m",
    ),
]


def test_any_duration_or_size_is_one_or_an_error() -> None:
    pieces = [*"0123456789.hmskgb -+eE", "nan", "inf", "\0", "\ud800", "²", "９", "9" * 400]
    random = Random(0)
    texts = ["".join(random.choice(pieces) for _ in range(random.randint(0, 6))) for _ in range(200 * TIMES)]
    for text in [*DURATIONS, *texts, "3MB", "0.4kb", "9" * 400 + "gb"]:
        for parsed in (limits.seconds, limits.size):
            try:
                assert 0 < parsed(text) < float("inf"), text
            except ConfigError as error:
                assert "for example" in error.fix  # noqa: PT017
