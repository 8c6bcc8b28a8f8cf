"""What all tests share: quiet threads, a cache of their own, small data and a small trained model.

Free of torch, as far as the file itself goes: ``make test-pythons`` runs tests where torch is not installed.
"""

import os

# Before torch: idle threads of one worker must not stop the other's, and the workers share the processors.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    share = (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, share)))

import gc
import itertools
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from lstmcli import registry
from lstmcli.cli.app import main
from lstmcli.config import Classifier, Data, RunConfig, Tokens, Train
from lstmcli.errors import LstmcliError
from tests.advice import foreign_options

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background jobs with Ctrl-C ignored

ROOT = Path(__file__).parents[1]
NUMBERS = itertools.count()
TIMES = int(os.environ.get("LSTMCLI_INPUTS", "1"))  # as many generated inputs, where tests try to break things

# A machine of its own speed sets no deadline; where CI is set, the same examples are drawn each time.
hypothesis.settings.register_profile("test", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("test")

GOOD = ["a warm and quiet film", "bright funny and kind", "it made me smile twice", "lovely from first to last"]
BAD = ["a cold and empty film", "dull loud and cruel", "it made me yawn twice", "dreadful from first to last"]


def pytest_collection_finish() -> None:
    """Have the collector pass over what was imported: to walk through it again and again takes a fifth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000)


@pytest.fixture(scope="session", autouse=True)
def _all_apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Nothing reads the user's cache, data or network; a process that a test starts imports this checkout."""
    root = tmp_path_factory.mktemp("apart")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("COLUMNS", "100")
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.delenv("LSTMCLI_DATA", raising=False)
        patch.setattr(os, "fsync", lambda _: None)  # no test cuts the power; a slow disk would make all wait
        yield root


@pytest.fixture(autouse=True)
def _apart(_all_apart: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads what another has cached, nor writes into the repository."""
    own = _all_apart / str(next(NUMBERS))
    (own / "work").mkdir(parents=True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(own / "cache"))
    monkeypatch.chdir(own / "work")


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


def uneven_documents() -> tuple[list[str], np.ndarray]:
    """100 texts and the classes, 0 to 2, of 60, 30 and 10 of them; words overlap, so that no model is sure."""
    random = np.random.default_rng(0)
    targets = np.repeat([0, 1, 2], [60, 30, 10])
    texts = [" ".join(f"w{word}" for word in random.integers(3 * label, 3 * label + 12, 6)) for label in targets]
    return texts, targets


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_table(tmp_path / "mine.csv")


SMALL = [
    "model.init=none",
    "model.sentence_embedding=0",
    "model.embedding=8",
    "model.vectors=none",
    "model.hidden=8",
    "model.dropout=0.5",
    "train.encoder_lr_scale=1",
    "train.probe=false",
    "tokens.extend=false",
    "tokens.min_count=1",
    "train.batch_tokens=64",
    "train.lr=0.02",
    "precision=float32",  # what a small model learns must not depend on the processor
]


def train_arguments(source: Path, out: Path, *more: str) -> list[str]:
    sets = [part for override in SMALL for part in ("--set", override)]
    return ["train", str(source), *sets, "--epochs", "3", "--out", str(out), *more]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run the command line in this process; its exit code. What an error proposes, the command must have."""
    from lstmcli.cli import console

    failure = console.failure
    command = ""

    def checked(error: LstmcliError) -> None:
        assert not (foreign := foreign_options(command, error.fix)), f"{command} has no {foreign}: {error.fix}"
        failure(error)

    monkeypatch.setattr(console, "failure", checked)

    def call(*arguments: object) -> int:
        nonlocal command
        command = str(arguments[0]) if arguments else ""
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            return int(end.code or 0)
        raise AssertionError("main always exits")

    return call


def skip_unless_run(precision: str) -> None:
    """Skip the test where the processor does not run an LSTM in the precision."""
    from lstmcli.machine import runtime

    if precision == "bfloat16" and not runtime.runs_bfloat16("cpu"):
        pytest.skip("this processor runs no LSTM in bfloat16")


@pytest.fixture(params=["float32", "bfloat16"])
def precision(request: pytest.FixtureRequest) -> str:
    """Each precision that the processor runs."""
    skip_unless_run(request.param)
    return str(request.param)


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


def untrained(recipe: str, path: Path) -> Path:
    """A checkpoint with the new weights of a tagger (``entities``) or a language model (``lm``)."""
    import torch

    from lstmcli import recipes
    from lstmcli.data.text.vocabulary import Vocabulary
    from lstmcli.inference import assemble
    from lstmcli.machine.runtime import Runtime
    from lstmcli.storage import checkpoint as checkpoints
    from lstmcli.storage.checkpoint import Checkpoint, grouped
    from lstmcli.tags import layout

    stream = recipe == "lm"
    config = recipes.load(recipe, overrides=["model.embedding=4", "model.hidden=4", "tokens.min_count=1"])
    texts = ["a warm film"] if stream else [("a", "warm", "film")]
    vocabulary = Vocabulary.build(texts, () if stream else layout({"B-PER"}), config.tokens, stream=stream)
    parts = assemble.fresh(config, vocabulary, Runtime("cpu", torch.float32))
    checkpoints.save(Checkpoint(config, vocabulary, grouped("model", parts.model.state_dict())), path)
    return path
