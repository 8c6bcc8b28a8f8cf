"""Files from strangers: what is no checkpoint is refused with a message, whatever it claims to be, and runs nothing."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lstmcli.errors import LstmcliError
from lstmcli.inference.predict import Predictions
from lstmcli.storage import archive
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.tags import layout
from tests import forged
from tests.conftest import ROOT, untrained, write_table

Run = Callable[..., int]
Captured = pytest.CaptureFixture[str]
MEGABYTE = 2**20
SPARE = 200 * MEGABYTE  # beyond twice the size of the file
SECONDS = 2.0  # of one processor


@pytest.fixture(scope="module")
def real(trained: Path) -> Path:
    return trained


def refused(path: Path) -> LstmcliError:
    """The error that loading or using the model raises; anything else is a fault of the program."""
    with pytest.raises(LstmcliError) as caught:
        Predictions(checkpoints.load(path)).probabilities(["a fine film"])
    assert caught.value.fix
    return caught.value


@pytest.mark.parametrize("name", forged.FORGED)
def test_forged_content_with_a_right_checksum_is_refused(name: str, real: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(forged.signed(forged.FORGED[name](torch.load(real, weights_only=True))))
    refused(path)


@pytest.mark.parametrize("name", sorted(forged.FORGED.keys() - {"a learner's tensor of another shape"}))
def test_a_prediction_without_torch_refuses_it_too(name: str, real: Path, tmp_path: Path) -> None:
    """All but what only a learner reads."""
    path = tmp_path / "model.pt"
    path.write_bytes(forged.signed(forged.FORGED[name](torch.load(real, weights_only=True))))
    with pytest.raises(LstmcliError) as caught:
        Predictions(checkpoints.opened(path)).probabilities(["a fine film"])
    assert caught.value.fix


@pytest.mark.parametrize("name", forged.BROKEN)
def test_a_file_of_another_form_is_refused_and_runs_nothing(name: str, real: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(forged.BROKEN[name](real.read_bytes()))
    before = sorted(Path.cwd().iterdir())
    assert "not a checkpoint that can be read" in refused(path).what
    assert sorted(Path.cwd().iterdir()) == before
    assert not Path("/tmp/run").exists()


def test_a_file_cut_at_every_block_or_with_a_flipped_bit_is_refused_or_the_same(real: Path, tmp_path: Path) -> None:
    path, whole = tmp_path / "model.pt", real.read_bytes()
    expected = checkpoints.load(real)
    cut = {position for position in forged.blocks(whole) if 0 < position < len(whole)}
    assert len(cut) > 60
    damaged = [*(whole[:position] for position in sorted(cut)), *forged.flipped(whole, 300)]
    loaded = 0
    for content in damaged:
        path.write_bytes(content)
        try:
            found = checkpoints.load(path)
        except checkpoints.CheckpointError as error:
            assert error.fix  # noqa: PT017
        else:  # what no reader looks at, such as a date in the zip
            loaded += 1
            assert found.config == expected.config
            assert all(torch.equal(value, found.tensors[name]) for name, value in expected.tensors.items())
    assert loaded < len(damaged) / 4


@pytest.mark.parametrize("large", [False, True])
def test_a_long_list_of_entries_is_not_read(large: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(forged.crowded(200_000, large=large))
    monkeypatch.setattr("zipfile.ZipFile", lambda *_: pytest.fail("read"))
    with pytest.raises(ValueError, match="too many entries"):
        archive.read(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pairs", torch.tensor([2**40])),  # of which a table of as many numbers would be made
        ("pairs", torch.tensor([-1])),
        ("pairs", torch.tensor([3, 1])),
        ("counts", torch.tensor([1, 1])),
        ("counts", torch.tensor([0])),
        ("words", torch.zeros(5, dtype=torch.int64)),
        ("followed", torch.tensor([-1] * 5)),
        ("discount", torch.tensor([2.0])),
        ("discount", None),
    ],
)
def test_a_language_model_with_a_forged_baseline_is_refused(name: str, value: Tensor | None, tmp_path: Path) -> None:
    path = untrained("lm", tmp_path / "model.pt")
    fitted = {"words": torch.ones(5, dtype=torch.int64), "followed": torch.ones(5, dtype=torch.int64),
              "pairs": torch.tensor([7]), "counts": torch.tensor([1]), "discount": torch.tensor([0.5])}  # fmt: skip
    content = torch.load(path, weights_only=True)

    def written(**changed: Tensor | None) -> None:
        kept = {f"baseline__{key}": one for key, one in (fitted | changed).items() if one is not None}
        path.write_bytes(forged.signed(forged.more(**kept)(content)))

    written()
    checkpoints.load(path)
    written(**{name: value})
    with pytest.raises(LstmcliError, match="baseline/"):
        checkpoints.load(path)


@pytest.mark.parametrize(
    ("name", "value"), [("common", torch.tensor([9, 0])), ("common", torch.tensor([0])), ("terms", None)]
)
def test_a_tagger_with_a_forged_baseline_is_refused(name: str, value: Tensor | None, tmp_path: Path) -> None:
    path = untrained("entities", tmp_path / "model.pt")
    content = torch.load(path, weights_only=True)
    tags = len(json.loads(content["header"])["vocabulary"]["labels"])
    fitted = {"words": torch.tensor([4, 9]), "common": torch.tensor([0, tags - 1]), "terms": torch.tensor([-1, 5]),
              "weight": torch.ones(2, tags).half(), "bias": torch.ones(tags)}  # fmt: skip
    for changed in ({}, {name: value}):
        kept = {f"baseline__{key}": one for key, one in (fitted | changed).items() if one is not None}
        path.write_bytes(forged.signed(forged.more(**kept)(content)))
        if not changed:
            checkpoints.load(path)
    with pytest.raises(LstmcliError, match="baseline/"):
        checkpoints.load(path)


COMMANDS = [
    ("header empty", ["predict", "-c", "{}", "fine"]),
    ("header nested 100,000 deep", ["evaluate", "-c", "{}", "--data", "mine.csv"]),
    ("labels numbers", ["adapt", "-c", "{}", "--data", "mine.csv", "--out", "a.pt"]),
    ("hidden 8192 beside small tensors", ["train", "mine.csv", "--set", "model.init={}"]),
    ("a tensor missing", ["export", "{}", "out.onnx"]),
    ("weights NaN", ["train", "mine.csv", "--set", "train.teacher={}", "--set", "data.unlabelled=more.txt"]),
    ("a tensor missing", ["train", "mine.csv", "--set", "model.vectors={}", "--set", "model.init=none"]),
    ("temperature 0", ["train", "mine.csv", "--set", "model.context={}", "--set", "model.init=none"]),
]


@pytest.mark.parametrize(("name", "arguments"), COMMANDS)
def test_every_command_that_opens_a_model_refuses_it(
    name: str, arguments: list[str], real: Path, tmp_path: Path, run: Run, capsys: Captured
) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(forged.signed(forged.FORGED[name](torch.load(real, weights_only=True))))
    write_table(Path("mine.csv"))
    Path("more.txt").write_text("a quiet evening at home\n")
    assert run(*(argument.format(path) for argument in arguments)) == 2
    message = capsys.readouterr().err
    assert "error: not a checkpoint that can be read" in message
    assert str(path) in message
    assert "Traceback" not in message


def test_the_real_file_is_accepted(real: Path, tmp_path: Path, run: Run, capsys: Captured) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(forged.signed(torch.load(real, weights_only=True)))
    assert run("predict", "-c", path, "a fine film", "--json") == 0
    assert json.loads(capsys.readouterr().out)["label"] in ("good", "bad")
    path.write_bytes(forged.zipped(forged.entries(real.read_bytes())))
    assert run("predict", "-c", path, "a fine film", "--json") == 0


MEASURED = """
import json, sys, time
from pathlib import Path
from lstmcli.errors import LstmcliError
from lstmcli.inference.predict import Predictions
from lstmcli.errors import LstmcliError
from lstmcli.inference.predict import Predictions
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.tags import layout

def peak():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))

def use(path):
    Predictions(checkpoints.load(path)).probabilities(["a fine film"])

use(Path(sys.argv[1]))  # what is loaded once is not the file's
for path in sys.stdin:
    path = Path(path.strip())
    open("/proc/self/clear_refs", "w").write("5")
    before, begun = peak(), time.process_time()
    try:
        use(path)
        how = "accepted"
    except LstmcliError:
        how = "refused"
    print(json.dumps([how, time.process_time() - begun, peak() - before]), flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the peak of memory")
def test_no_forged_file_takes_long_or_much_memory(real: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    command = [sys.executable, "-c", MEASURED, str(real)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for name, content in forged.corpus(real):
            path.write_bytes(content)
            process.stdin.write(f"{path}\n")
            process.stdin.flush()
            how, seconds, memory = json.loads(process.stdout.readline())
            assert how == "refused", name
            assert seconds < SECONDS, name
            assert memory < 2 * len(content) + SPARE, name
    assert process.returncode == 0


def test_integers_are_checked_before_they_are_expanded(
    real: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.pt"
    content = torch.load(real, weights_only=True)
    table = {"scale__model__other": torch.ones(3).half(), "model__other": torch.ones(3, 2, dtype=torch.int8)}
    path.write_bytes(forged.signed(forged.more(**table)(content)))
    monkeypatch.setattr("lstmcli.storage.tensors.scaled", lambda *_: pytest.fail("expanded"))
    assert "belongs to no model" in refused(path).what


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        (["O", "B-PER", "I-PER", "E-PER", "per"], "labels that are no tags"),
        (["O", "S-PER", "B-PER", "I-PER", "E-PER"], "labels that are no tags"),  # in another order
        (layout({f"B-{number}" for number in range(1_001)}), "too many tags"),
    ],
)
def test_a_tagger_with_forged_labels_is_refused(labels: list[str], why: str, tmp_path: Path) -> None:
    path = untrained("entities", tmp_path / "model.pt")
    content = torch.load(path, weights_only=True)
    path.write_bytes(forged.signed(forged.at("vocabulary/labels", list(labels))(content)))
    assert why in refused(path).what
