"""The floor plan as a table: who may import whom, who may print, what may be loaded for ``--help``."""

import ast
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import lstmcli
from lstmcli import registry
from lstmcli.cli.app import app, main
from lstmcli.storage import checkpoint as checkpoints
from tests.architecture import source
from tests.architecture.source import FILES, PROGRAM
from tests.conftest import SMALL, untrained

PLUMBING = {"config", "contracts", "errors", "events", "registry", "tags", "types", "validation"}
KINDS = ("data", "models", "graphs", "tasks", "meta")  # what is registered: none imports another
LAYERS = (
    "machine",
    "storage",
    "inference",
    "report",
    "training",
    "search",
    "quality",
    "race",
    "api",
    "sklearn",
    "cli",
)  # each may import those before it
MAY_IMPORT = {
    "__init__": {"api"},  # when one of its names is first used
    "__main__": {"cli"},
    "errors": set(),
    "types": {"errors"},
    "events": {"types"},
    "registry": {"errors"},
    "contracts": set(),
    "validation": {"config", "contracts", "errors", "registry"},
    "tags": set(),
    "config": {"errors"},
    "recipes": {"config", "contracts", "errors", "registry", "types", "validation"},
    **{kind: {"config", "contracts", "errors", "tags", "types"} for kind in KINDS},
    **{layer: {*PLUMBING, "data", *LAYERS[:index]} for index, layer in enumerate(LAYERS)},
}
MAY_IMPORT["data"] |= {"events"}  # reading and encoding report their progress
MAY_IMPORT["machine"] = {"config", "errors", "registry"}
MAY_IMPORT["api"] |= {"recipes"}
MAY_IMPORT["sklearn"] = {"api"}
MAY_IMPORT["cli"] |= {"__init__", "recipes"}
MAY_IMPORT["cli"] -= {"data", "sklearn"}
LEAVES = {  # functions of arrays that import nothing of ours: who else may import them
    "models/crf": {"tasks"},
    "tasks/intervals": {"inference", "race", "quality", "report", "search"},
}
HEAVY = {"torch", "datasets", "sklearn", "scipy", "pandas", "pyarrow", "transformers", "matplotlib"}
WATCHED = HEAVY | {"rich", "yaml"}


def room(path: Path) -> str:
    return path.relative_to(PROGRAM).with_suffix("").parts[0]


def imported(path: Path) -> set[str]:
    """Rooms of ours that the file imports."""
    parts = [name.split(".") for name in source.imported(path) if name.split(".")[0] == "lstmcli"]
    rooms = {path.stem if path.parent == PROGRAM else path.parent.name for path in FILES}
    leaves = [leaf.split("/") for leaf, others in LEAVES.items() if room(path) in others]
    return {part[1] if len(part) > 1 and part[1] in rooms else "__init__"
            for part in parts if part[1:3] not in leaves}  # fmt: skip


@pytest.mark.parametrize("leaf", LEAVES)
def test_a_leaf_imports_nothing_of_ours(leaf: str) -> None:
    assert imported(PROGRAM / f"{leaf}.py") == set()


def test_there_are_files() -> None:
    assert len(FILES) > 30


def test_imports_follow_the_floor_plan() -> None:
    strayed = {str(path): imported(path) - {room(path)} - MAY_IMPORT[room(path)] for path in FILES}
    assert {path: rooms for path, rooms in strayed.items() if rooms} == {}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PROGRAM)))
def test_only_the_front_door_knows_a_terminal(path: Path) -> None:
    nodes = source.nodes(path)
    names = {alias.name.split(".")[0] for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module).split(".")[0] for node in nodes if isinstance(node, ast.ImportFrom)}
    assert "typer" not in names or room(path) == "cli"
    assert "rich" not in names or path in [
        PROGRAM / "cli" / f"{name}.py"
        for name in (
            "render",
            "bars",
            "console",
            "contributions",
            "entities",
            "few_shot",
            "answers",
            "findings",
            "interruptions",
            "searches",
            "thresholds",
        )
    ]
    called = {node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not called & {"print", "exit", "quit", "eval", "exec"}
    attributes = {f"{node.value.id}.{node.attr}" for node in nodes
                  if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)}  # fmt: skip
    assert "sys.exit" not in attributes or path == PROGRAM / "cli" / "app.py"
    assert "torch.load" not in attributes
    assert not names & {"pickle", "joblib", "shelve", "dill"}


def test_one_file_draws_resamples_and_takes_quantiles() -> None:
    anywhere = {"quantile", "nanquantile", "percentile", "nanpercentile", "ppf", "bootstrap"}
    of_tasks = {"default_rng", "multinomial", "integers", "choice"}  # elsewhere texts and episodes are drawn
    found = {
        f"{room(path)}/{path.name}: {node.attr}"
        for path in FILES
        for node in source.nodes(path)
        if isinstance(node, ast.Attribute) and node.attr in anywhere | (of_tasks if room(path) == "tasks" else set())
    }
    assert {one for one in found if not one.startswith("tasks/intervals.py")} == set()
    assert found  # the names are those in use
    assert not [path for path in FILES if path.parent.name in ("tasks", "race", "inference")
                and {"random", "statistics"} & {name.split(".")[0] for name in source.imported(path)}]  # fmt: skip


def named(node: ast.AST) -> set[str]:
    """The strings that a comparison, a match or the keys of a dict name, alone or in a tuple, list or set."""
    parts: list[ast.expr | None] = []
    if isinstance(node, ast.Compare):
        parts = [node.left, *node.comparators]
    elif isinstance(node, ast.MatchValue):
        parts = [node.value]
    elif isinstance(node, ast.Dict):
        parts = list(node.keys)
    parts += [inner for part in parts if isinstance(part, ast.Tuple | ast.List | ast.Set) for inner in part.elts]
    return {part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)}


def test_what_is_registered_is_asked_for_its_properties_not_for_its_name() -> None:
    """A task, model or learner that nobody has written yet has to work everywhere."""
    compared = registry.TASKS.keys() | registry.MODELS.keys() | registry.LEARNERS.keys()
    found = [
        (f"{room(path)}/{path.name}:{getattr(node, 'lineno', 0)}", name)
        for path in FILES
        if room(path) not in ("registry", "tasks")
        for node in source.nodes(path)
        for name in named(node) & (registry.TASKS.keys() if isinstance(node, ast.Dict) else compared)
    ]
    assert found == []


OF_COMMANDS = {"api", "cli", "config", "errors", "events", "recipes"}  # rooms: what is done is done behind api
OF_PROCESS = "lstmcli.machine.malloc"  # a library may not decide it


def test_a_command_is_options_and_a_call_of_the_api() -> None:
    commands = [source.MODULES[command.callback.__module__] for command in app.registered_commands if command.callback]
    assert len(commands) >= 4
    for path in commands:
        foreign = {name for name in source.imported(path) if name.startswith("lstmcli.") and name != OF_PROCESS}
        assert {name for name in foreign if name.split(".")[1] not in OF_COMMANDS} == set(), path.name
        assert any(name.startswith("lstmcli.api.") for name in foreign), path.name
        function = next(node for node in source.tree(path).body if isinstance(node, ast.FunctionDef))
        body = (function.end_lineno or 0) - function.body[0].lineno
        assert body <= 40, f"{path.name}: {body} lines beyond the list of options"


def test_files_and_functions_are_small() -> None:
    assert [str(path) for path in FILES if path.read_text("utf-8").count("\n") > 300] == []
    functions = [(path, node) for path in FILES for node in source.nodes(path) if isinstance(node, ast.FunctionDef)]
    large = [(str(path), node.name) for path, node in functions if (node.end_lineno or 0) - node.lineno >= 50]
    assert [(path, name) for path, name in large if room(Path(path)) != "cli"] == []


def test_every_file_says_what_it_holds() -> None:
    assert [path for path in FILES if not ast.get_docstring(source.tree(path))] == []


def test_what_is_registered_lies_where_its_table_says() -> None:
    for table, folder in {
        "DATASETS": "data.readers",
        "PROBLEMS": "race",
        "TASKS": "tasks",
        "MODELS": "models",
        "LEARNERS": "meta",
    }.items():
        for module in getattr(registry, table).values():
            assert module.startswith(f"lstmcli.{folder}.")
            assert source.MODULES[module].is_file()


LOADED = """
import importlib, json, sys
modules, commands = json.loads(sys.argv[1])
for name in modules:
    importlib.import_module(name)
from lstmcli.cli.app import main
for command in commands:
    try:
        main(command)
    except SystemExit as end:
        loaded = sorted({name.split(".")[0] for name in sys.modules})
        print("\\n" + json.dumps([command, end.code, loaded]))
"""


def loaded_by(commands: list[list[str]], modules: tuple[str, ...] = ()) -> list[tuple[list[str], int, set[str]]]:
    """Of each command its exit code and what is loaded after it, in one process that first imports the modules."""
    arguments = [sys.executable, "-c", LOADED, json.dumps([modules, commands])]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[[")]
    assert [command for command, _, _ in found] == commands
    return [(command, code, set(loaded) & WATCHED) for command, code, loaded in found]


def test_a_process_imports_this_checkout() -> None:
    code = "import lstmcli; print(lstmcli.__file__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == lstmcli.__file__ == str(PROGRAM / "__init__.py")


def test_the_package_loads_nothing_heavy_until_a_name_of_the_library_is_used() -> None:
    code = "import json, sys, lstmcli\nassert 'load' in dir(lstmcli)\nprint(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert WATCHED & {name.split(".")[0] for name in json.loads(done.stdout)} == set()


def test_help_loads_nothing_heavy() -> None:
    for command, code, loaded in loaded_by([["--help"], ["train", "--help"]]):
        assert (code, loaded) == (0, set()), command


def test_readers_tasks_and_mistakes_need_no_torch() -> None:
    """Whatever a command does before it is sure of its input: all of it runs here, and is caught if it loads torch."""
    Path("bad.csv").write_text("text,label\n" + "fine,good\n,bad\n" * 20)
    Path("two.csv").write_text("text,label\n" + "fine,good\ndull,bad\n" * 20)
    Path("empty.txt").write_text("\n")
    Path("tagged").mkdir()
    Path("tagged/train.txt").write_text("Ada PER\n\n")
    mistakes = [
        ["train", "nothing-of-that-name"],
        ["train", "reviews", "--set", "train.lr=-1"],
        ["train", "reviews", "--learner", "ridg"],
        ["train", "banking77-ridge"],
        ["train", "--fields", "trian"],
        ["train", "reviews", "--data", "missing.csv"],
        ["train", "bad.csv"],
        ["train", "tagged"],
        ["train", "two.csv", "--set", "model.init=missing.pt"],
        ["train", "lm", "--data", "empty.txt"],
        ["predict", "--input", "missing.csv"],
        ["predict", "--input", "two.csv", "--output", "two.csv"],
        ["predict", "--input", "two.csv", "--output", "out.docx"],
        ["check", "missing.csv"],
        ["check", "tagged"],
        ["check", "two.csv", "--fix", "two.csv"],
        ["check", "two.csv", "--report", "out.docx"],
        ["check", "two.csv", "--label-column", "stars"],
        ["predict", "--threshold", "good", "fine"],
        ["predict", "--threshold", "good=7", "fine"],
        ["predict", "--min-confidence", "7", "fine"],
        ["predict", "--sets", "7", "fine"],
        ["evaluate", "--thresholds", "--shots", "5"],
        ["train", "entities", "--target-precision", "0.9"],
        ["train", "two.csv", "--budget", "soon"],
        ["train", "two.csv", "--max-size", "3MB"],
        ["train", "entities", "--budget", "10m"],
    ]
    for command, code, loaded in loaded_by(mistakes, (*registry.DATASETS.values(), *registry.TASKS.values())):
        assert (code, loaded & HEAVY) == (2, set()), command


def several_labels() -> Path:
    """A checkpoint of several labels per text with new weights, and texts in ``sets.csv``."""
    Path("sets.csv").write_text("text,label\n" + 'Ada,"a,b"\nTurin,b\n' * 20)
    arguments = ["train", "sets.csv", "--label-separator", ",", "--epochs", "1", "--out", "sets", "-q"]
    sets = [part for one in (*SMALL, "train.min_steps=none") for part in ("--set", one)]
    with pytest.raises(SystemExit) as end:
        main([*arguments, *sets])
    assert not end.value.code
    checkpoint = checkpoints.load(Path("sets/model.pt"))
    tensors = {name: value for name, value in checkpoint.tensors.items() if not name.startswith("baseline/")}
    checkpoints.save(replace(checkpoint, tensors=tensors), Path("sets.pt"))
    return Path("sets.pt")


def test_models_with_labels_score_texts_without_torch(trained: Path) -> None:
    Path("two.csv").write_text("text,label\n" + "a fine film,good\na dull film,bad\n" * 20)
    commands = [
        ["predict", "a fine film"],
        ["predict", "-c", "imdb", "a fine film", "--json"],
        ["predict", "-c", str(trained), "-i", "two.csv", "-o", "out.csv", "--keep", "all"],
        ["predict", "-c", str(trained), "a fine film", "--min-confidence", "0.9", "--sets", "0.9", "--in-scope", "0.9"],
        ["evaluate", "-c", "imdb", "--data", "two.csv", "--map", "good=positive,bad=negative", "--json"],
    ]
    for command, code, loaded in loaded_by(commands):
        assert (code, loaded & HEAVY) == (0, set()), command
    Path("words").mkdir()
    Path("words/test.txt").write_text("Ada S-B-PER\nslept O\n\n" * 5)
    for model, data in {untrained("entities", Path("words.pt")): "words", several_labels(): "sets.csv"}.items():
        commands = [["predict", "-c", str(model), "Ada saw Turin"]]
        commands += [["predict", "-c", str(model), "-i", "two.csv", "-o", "out.jsonl"]]
        commands += [["evaluate", "-c", str(model), "--data", data, "--json"]]
        for command, code, loaded in loaded_by(commands):
            assert (code, loaded & HEAVY) == (0, set()), command
    ((command, code, loaded),) = loaded_by([["evaluate", "-c", str(trained), "--data", "two.csv", "--json"]])
    assert (code, loaded & {"torch"}) == (0, set()), command  # the linear baseline is one of scikit-learn
    library = [sys.executable, "-X", "importtime", "-c", "import lstmcli; lstmcli.load().predict(['a fine film'])"]
    done = subprocess.run(library, capture_output=True, text=True, check=True)
    assert not {line.split("|")[-1].strip() for line in done.stderr.splitlines()} & (HEAVY | {"rich", "typer"})


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


@pytest.mark.slow
def test_importing_changes_nothing() -> None:
    pytest.importorskip("torch")
    imported = [name for name in source.MODULES if name != "lstmcli.sklearn"]  # its estimator is one of scikit-learn
    script = (
        "import os, sys, importlib, random, signal, torch\n"
        "import rich.console  # draws from random for an id of its own\n"
        "before = dict(os.environ), torch.get_num_threads(), random.getstate(), signal.getsignal(signal.SIGINT)\n"
        "state = torch.get_rng_state()\n"
        f"for name in {imported!r}: importlib.import_module(name)\n"
        "after = dict(os.environ), torch.get_num_threads(), random.getstate(), signal.getsignal(signal.SIGINT)\n"
        "assert before == after and torch.equal(state, torch.get_rng_state())\n"
        "assert 'datasets' not in sys.modules and 'sklearn' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_only_commands_change_how_the_process_allocates_memory() -> None:
    """It cannot be undone, and the process of a caller of the library is not ours."""
    users = {room(path) for path in FILES if "lstmcli.machine.malloc" in source.imported(path)}
    assert users == {"cli"}


def test_onnx_runtime_is_loaded_in_one_place() -> None:
    """There its telemetry is off: whoever imports it otherwise turns that on for the process."""
    found = {
        str(path.relative_to(PROGRAM))
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if (isinstance(node, ast.Import) and any(one.name.startswith("onnxruntime") for one in node.names))
        or (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("onnxruntime"))
    }
    assert found == {"machine/onnx_runtime.py", "inference/engines.py"}  # the second: for types alone
