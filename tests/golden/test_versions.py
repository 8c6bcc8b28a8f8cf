"""Checkpoints of every format version that was ever released load and predict as before."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lstmcli.storage import checkpoint as checkpoints

HERE = Path(__file__).parent
SAID = {
    "version1.pt": {
        "a warm and kind film": ("good", 0.778851),
        "it made me dull": ("bad", 0.726112),
        "warm but dreadful": ("good", 0.514992),
    },
}


def test_every_version_has_its_checkpoint() -> None:
    assert {f"version{number}.pt" for number in range(1, checkpoints.VERSION + 1)} == set(SAID)


@pytest.mark.parametrize("name", sorted(SAID))
def test_an_old_checkpoint_predicts_as_before(
    name: str, run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    expected = SAID[name]
    assert run("predict", "-c", HERE / name, "--json", "--precision", "float32", *expected) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(expected)
    for line in lines:
        prediction = json.loads(line)
        label, probability = expected[prediction["text"]]
        assert prediction["label"] == label
        assert prediction["probability"] == pytest.approx(probability, abs=1e-4)
