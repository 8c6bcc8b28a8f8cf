"""What all tests share: quiet threads, a cache of their own, small data and a small trained model."""

import os

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # before torch: idle threads of one worker must not stop the other's

from collections.abc import Callable
from pathlib import Path

import pytest

from lstmcli import registry
from lstmcli.cli.app import main
from lstmcli.config import Classifier, Data, RunConfig, Tokens, Train

GOOD = ["a warm and quiet film", "bright funny and kind", "it made me smile twice", "lovely from first to last"]
BAD = ["a cold and empty film", "dull loud and cruel", "it made me yawn twice", "dreadful from first to last"]


@pytest.fixture(autouse=True)
def _apart(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads the user's cache, data or network, nor writes into the repository."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("COLUMNS", "100")
    if "LSTMCLI_DATA" in os.environ:
        monkeypatch.delenv("LSTMCLI_DATA")
    monkeypatch.chdir(tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets, where this machine has one."""
    root = REAL_DATA
    if root is None or not root.is_dir():
        pytest.skip("LSTMCLI_DATA names no folder of real data")
    return root


REAL_DATA = Path(os.environ["LSTMCLI_DATA"]).resolve() if "LSTMCLI_DATA" in os.environ else None


def write_table(path: Path, *, copies: int = 5) -> Path:
    """A small table of two classes that a model can learn."""
    lines = [
        f'"{text} {number}",{label}'
        for number in range(copies)
        for label, texts in (("good", GOOD), ("bad", BAD))
        for text in texts
    ]
    path.write_text("text,label\n" + "\n".join(lines) + "\n", "utf-8")
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_table(tmp_path / "mine.csv")


SMALL = [
    "model.embedding=8",
    "model.vectors=none",
    "model.hidden=8",
    "tokens.min_count=1",
    "train.batch_tokens=64",
    "train.lr=0.02",
]


def train_arguments(source: Path, out: Path, *more: str) -> list[str]:
    sets = [part for override in SMALL for part in ("--set", override)]
    return ["train", str(source), *sets, "--epochs", "3", "--out", str(out), *more]


@pytest.fixture
def run() -> Callable[..., int]:
    """Run the command line in this process; its exit code."""

    def call(*arguments: object) -> int:
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            return int(end.code or 0)
        raise AssertionError("main always exits")

    return call


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small trained checkpoint of the classes good and bad."""
    folder = tmp_path_factory.mktemp("trained")
    table = write_table(folder / "mine.csv")
    with pytest.raises(SystemExit) as end:
        main([*train_arguments(table, folder / "run"), "--quiet", "--epochs", "12"])
    assert not end.value.code
    return folder / "run" / "model.pt"


@pytest.fixture
def small_config() -> RunConfig:
    return RunConfig(
        data=Data(),
        tokens=Tokens(min_count=1),
        model=Classifier(embedding=6, hidden=5, dropout=0.0),
        train=Train(epochs=2, batch_tokens=64),
        precision="float32",
    )


READERS = sorted(registry.DATASETS)
MODELS = sorted(registry.MODELS)
LEARNERS = sorted(registry.LEARNERS)
TASKS = sorted(registry.TASKS)
