"""The floor plan as a table: who may import whom, who may print, what may be loaded for ``--help``."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import lstmcli
from lstmcli import registry

ROOT = Path(lstmcli.__file__).parent
FILES = sorted(path for path in ROOT.rglob("*.py"))

MAY_IMPORT = {
    "__init__": set(),
    "__main__": {"cli"},
    "errors": set(),
    "types": {"errors"},
    "registry": {"errors"},
    "validation": {"config", "errors"},
    "tags": set(),
    "config": {"errors"},
    "recipes": {"config", "errors", "registry", "types", "validation"},
    "data": {"config", "errors", "tags", "types"},
    "models": {"config", "errors", "tags", "types"},
    "tasks": {"config", "errors", "tags", "types"},
    "meta": {"config", "errors", "types"},
    "engine": {"config", "data", "errors", "registry", "tags", "types", "validation"},
    "cli": {"__init__", "config", "engine", "errors", "recipes", "registry", "types"},
}
LEAVES = {"models/crf": {"tasks"}}  # functions of tensors that import nothing of ours: who else may import them
HEAVY = {"torch", "datasets", "sklearn", "scipy", "pandas", "pyarrow", "transformers", "matplotlib"}
TORCH_FREE = ["types", "config", "validation", "recipes", "registry", "data/sampling", "data/sources",
              "data/rows", "data/table", "data/imdb", "data/reviews", "data/conll2003", "data/words", "data/labels",
              "tags", "engine/inputs", "engine/naming", "engine/sinks", "engine/texts", "engine/folder"]  # fmt: skip


def room(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[0]


def statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Every statement but those for type checkers alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        yield node
        yield from statements(node)


def imported(path: Path) -> set[str]:
    """Rooms of ours that the file imports."""
    names = set()
    for node in statements(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    parts = [name.split(".") for name in names if name.split(".")[0] == "lstmcli"]
    rooms = {path.stem if path.parent == ROOT else path.parent.name for path in FILES}
    leaves = [leaf.split("/") for leaf, others in LEAVES.items() if room(path) in others]
    return {part[1] if len(part) > 1 and part[1] in rooms else "__init__"
            for part in parts if part[1:3] not in leaves}  # fmt: skip


@pytest.mark.parametrize("leaf", LEAVES)
def test_a_leaf_imports_nothing_of_ours(leaf: str) -> None:
    assert imported(ROOT / f"{leaf}.py") == set()


def test_there_are_files() -> None:
    assert len(FILES) > 30


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_follow_the_floor_plan(path: Path) -> None:
    assert imported(path) - {room(path)} <= MAY_IMPORT[room(path)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_front_door_knows_a_terminal(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    names = {
        alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    names |= {str(node.module).split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert "typer" not in names or room(path) == "cli"
    assert "rich" not in names or path in [
        ROOT / "cli" / f"{name}.py" for name in ("render", "bars", "console", "entities", "few_shot", "answers")
    ]
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not called & {"print", "exit", "quit", "eval", "exec"}
    attributes = {f"{node.value.id}.{node.attr}" for node in ast.walk(tree)
                  if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)}  # fmt: skip
    assert "sys.exit" not in attributes or path == ROOT / "cli" / "app.py"
    assert "torch.load" not in attributes or path == ROOT / "engine" / "checkpoint.py"
    assert not names & {"pickle", "joblib", "shelve", "dill"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_are_small(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.count("\n") <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 50 or room(path) == "cli", node.name


def test_every_file_says_what_it_holds() -> None:
    assert [path for path in FILES if not ast.get_docstring(ast.parse(path.read_text("utf-8")))] == []


def test_what_is_registered_lies_where_its_table_says() -> None:
    for table, folder in {"DATASETS": "data", "TASKS": "tasks", "MODELS": "models", "LEARNERS": "meta"}.items():
        for module in getattr(registry, table).values():
            assert module.startswith(f"lstmcli.{folder}.")
            assert (ROOT.parent / (module.replace(".", "/") + ".py")).is_file()


def loaded_by(code: str) -> set[str]:
    script = f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\nsys.stderr.write(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in done.stderr.split()} & (HEAVY | {"rich", "yaml"})


def test_help_loads_nothing_heavy() -> None:
    assert loaded_by("from lstmcli.cli.app import main; main(['--help'])") == set()
    assert loaded_by("from lstmcli.cli.app import main; main(['train', '--help'])") == set()


def test_mistakes_are_caught_before_torch_is_loaded() -> None:
    imports = "; ".join(f"import lstmcli.{name.replace('/', '.')}" for name in TORCH_FREE)
    assert not loaded_by(imports) & HEAVY
    for mistake in (["train", "nothing-of-that-name"], ["train", "reviews", "--set", "train.lr=-1"],
                    ["predict", "--input", "missing.csv"], ["train", "reviews", "--data", "missing.csv"]):  # fmt: skip
        assert not loaded_by(f"from lstmcli.cli.app import main; main({mistake!r})") & HEAVY, mistake


@pytest.mark.parametrize(
    ("given", "expected"), [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "")]
)
def test_idle_threads_do_not_spin_unless_the_user_says_so(given: dict[str, str], expected: str) -> None:
    code = "import os; from lstmcli.cli.app import main\ntry:\n main(['--version'])\nexcept SystemExit:\n pass\n"
    kept = {key: value for key, value in os.environ.items() if key not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    done = subprocess.run(
        [sys.executable, "-c", code + "print(os.environ.get('GOMP_SPINCOUNT', ''))"],
        capture_output=True, text=True, check=True, env=kept | given,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == expected


SHAPES = """
import os
from pathlib import Path
import torch
from lstmcli.models.lstm import LSTM

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

torch.set_num_threads(1)
reader = LSTM(50, 128, bidirectional=True).eval()
with torch.inference_mode():
    for rows in range(1, 25):
        if rows == 9:
            before = resident()
        for time in range(5, 30):
            reader(torch.zeros(rows, time, 50), torch.full((rows,), time))
print(resident() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system does not tell what memory is resident")
def test_memory_does_not_grow_with_the_shapes_of_batches() -> None:
    code = "from lstmcli.cli.app import main\ntry:\n main(['--version'])\nexcept SystemExit:\n pass\n" + SHAPES
    kept = {key: value for key, value in os.environ.items() if key != "ONEDNN_PRIMITIVE_CACHE_CAPACITY"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=kept)
    assert float(done.stdout.splitlines()[-1]) < 20  # MB over 400 shapes; 70 and more if each left a kernel behind


def test_importing_changes_nothing() -> None:
    modules = [".".join(path.relative_to(ROOT.parent).with_suffix("").parts) for path in FILES]
    modules = [name.removesuffix(".__init__") for name in modules if not name.endswith("__main__")]
    script = (
        "import os, sys, importlib, random, signal, torch\n"
        "import rich.console  # draws from random for an id of its own\n"
        "before = dict(os.environ), torch.get_num_threads(), random.getstate(), signal.getsignal(signal.SIGINT)\n"
        "state = torch.get_rng_state()\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        "after = dict(os.environ), torch.get_num_threads(), random.getstate(), signal.getsignal(signal.SIGINT)\n"
        "assert before == after and torch.equal(state, torch.get_rng_state())\n"
        "assert 'datasets' not in sys.modules and 'sklearn' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
