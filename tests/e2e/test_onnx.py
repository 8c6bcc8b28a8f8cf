"""Exported models, and classifiers on ONNX Runtime: the same answers as torch's through every command; files from
strangers are refused."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from lstmcli import load
from lstmcli.errors import ConfigError, LstmcliError
from lstmcli.events import Noted
from lstmcli.graphs import classifier
from lstmcli.inference import engines
from lstmcli.inference.decisions import DecisionOptions
from lstmcli.inference.predict import Predictions
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage import onnx_file
from lstmcli.storage.text_io import Question
from tests.conftest import BAD, GOOD, ROOT, untrained, write_table

Run = Callable[..., int]
Captured = pytest.CaptureFixture[str]
TEXTS = [*GOOD, *BAD, "a fine film", "nothing of this is known", "film " * 900]


@pytest.fixture(scope="module")
def exported(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained model, exported."""
    from lstmcli import export

    out = tmp_path_factory.mktemp("exported") / "model.onnx"
    export(trained, out)
    return out


def answers(run: Run, capsys: Captured, *arguments: object) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert run("predict", *arguments, "--json") == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def near(found: list[dict[str, Any]], expected: list[dict[str, Any]], within: float = 1e-5) -> None:
    """The same answers; probabilities within a distance."""
    assert [one.keys() for one in found] == [one.keys() for one in expected]
    for one, other in zip(found, expected, strict=True):
        for key in one.keys() - {"probability", "probabilities"}:
            assert one[key] == other[key], key
        assert one["probability"] == pytest.approx(other["probability"], abs=within)
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=within)


def test_torch_and_onnx_runtime_give_the_same_answers(trained: Path) -> None:
    checkpoint = checkpoints.load(trained)
    checkpoint = replace(checkpoint, config=checkpoint.config.model_copy(update={"precision": "float32"}))
    decisions = DecisionOptions(min_confidence=0.6, thresholds={"good": 0.7}, sets=0.9, in_scope=0.9)
    questions = [Question(row, text, "no text" if row == 3 else "", {"id": row}) for row, text in enumerate(TEXTS, 1)]
    fast = Predictions(checkpoint, decisions)
    assert isinstance(fast._engine, engines.Onnx)
    slow = Predictions(checkpoint, decisions)
    slow._engine = engines.Engine(checkpoint)
    near(*([one.answer for one in each.of([questions])] for each in (fast, slow)))
    np.testing.assert_allclose(fast.embeddings(TEXTS), slow.embeddings(TEXTS), rtol=0, atol=1e-5)
    flags = [[(one.truncated, one.unknown) for one in each.of([questions])] for each in (fast, slow)]
    assert flags[0] == flags[1]


def test_threads_and_batches_change_no_answer(trained: Path, tmp_path: Path, run: Run) -> None:
    source = tmp_path / "many.txt"
    source.write_text("".join(f"{text} {number}\n" for number in range(400) for text in TEXTS[:8]))
    for threads in (1, 3):
        assert run("predict", "-c", trained, "-i", source, "-o", f"{threads}.jsonl", "--threads", threads) == 0
    one, three = (Path(f"{threads}.jsonl").read_text().splitlines() for threads in (1, 3))
    assert one == three
    assert [json.loads(line)["text"] for line in one] == source.read_text().splitlines()


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_an_exported_model_predicts_files_as_its_model_does(
    trained: Path, exported: Path, tmp_path: Path, run: Run, ending: str
) -> None:
    table = write_table(tmp_path / "in.csv")
    for model, name in ((trained, "model"), (exported, "export")):
        out = f"{name}.{ending}"
        assert run("predict", "-c", model, "-i", table, "-o", out, "--keep", "all", "--sets", "0.9") == 0
    assert Path(f"model.{ending}").read_bytes() == Path(f"export.{ending}").read_bytes()


def test_an_exported_model_is_evaluated_as_its_model_is(
    trained: Path, exported: Path, tmp_path: Path, run: Run, capsys: Captured
) -> None:
    table = write_table(tmp_path / "in.csv")
    found = []
    for model in (trained, exported):
        capsys.readouterr()
        assert run("evaluate", "-c", model, "--data", table, "--thresholds", "--json") == 0
        found.append(json.loads(capsys.readouterr().out) | {"seconds": 0, "checkpoint": ""})
    assert found[1].pop("baselines") == {"majority": found[0].pop("baselines")["majority"]}  # no linear baseline
    assert found[0] == found[1]
    assert run("evaluate", "-c", exported, "--data", table, "--report", tmp_path / "report") == 0
    assert (tmp_path / "report" / "report.html").is_file()


def test_the_library_loads_an_exported_model(trained: Path, exported: Path) -> None:
    model, file = load(trained), load(exported)
    np.testing.assert_allclose(file.predict_proba(TEXTS), model.predict_proba(TEXTS), rtol=0, atol=1e-9)
    assert file.predict(GOOD).tolist() == model.predict(GOOD).tolist()
    assert file.select(TEXTS[:8], 2) == model.select(TEXTS[:8], 2)


def test_export_reports_how_it_agrees(trained: Path, tmp_path: Path, run: Run, capsys: Captured) -> None:
    table = write_table(tmp_path / "in.csv")
    for more in ([], ["--int8"]):
        capsys.readouterr()
        assert run("export", trained, "out.onnx", "--data", table, "--json", *more) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["opset"] == 17
        assert found["int8"] == bool(more)
        assert found["equal"] == 1.0
        assert found["accuracy"]["model"] == found["accuracy"]["export"]
        assert (found["largest"] <= 1e-5) == (not more)
        assert found["size"] == Path("out.onnx").stat().st_size
        near(answers(run, capsys, "-c", "out.onnx", *TEXTS[:9]), answers(run, capsys, "-c", trained, *TEXTS[:9]),
             within=0.02 if more else 1e-5)  # fmt: skip
    onnx.checker.check_model(onnx.load("out.onnx"), full_check=False)
    assert run("export", trained, "elsewhere.onnx") == 0  # the data of the model is found


def test_an_export_that_does_not_agree_is_not_written(
    trained: Path, run: Run, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("out.onnx").write_text("before")
    prepared = classifier.prepared

    def other(*arguments: Any) -> Any:
        return {name: value * (1.01 if name == "head.weight" else 1) for name, value in prepared(*arguments).items()}

    monkeypatch.setattr(classifier, "prepared", other)
    assert run("export", trained, "out.onnx") == 2
    assert "does not agree" in capsys.readouterr().err
    assert Path("out.onnx").read_text() == "before"
    assert os.listdir() == ["out.onnx"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["adapt", "-c", "{}", "--shots", "2", "--data", "mine.csv"], "predict and evaluate alone"),
        (["evaluate", "-c", "{}", "--shots", "2", "--data", "mine.csv"], "predict and evaluate alone"),
        (["predict", "-c", "{}", "fine", "--explain"], "predict and evaluate alone"),
        (["predict", "-c", "{}", "fine", "--precision", "bfloat16"], "runs on a CPU"),
        (["predict", "-c", "{}", "fine", "--device", "cuda"], "runs on a CPU"),
        (["train", "mine.csv", "--set", "model.init={}"], "predict and evaluate alone"),
        (["export", "{}", "again.onnx"], "predict and evaluate alone"),
    ],
)
def test_what_an_exported_model_cannot_do_is_said(
    arguments: list[str], reason: str, exported: Path, run: Run, capsys: Captured
) -> None:
    write_table(Path("mine.csv"))
    assert run(*(argument.format(exported) for argument in arguments)) == 2
    assert reason in " ".join(capsys.readouterr().err.split())
    assert sorted(os.listdir()) == ["mine.csv"]


def test_models_without_a_graph_are_not_exported(run: Run, capsys: Captured) -> None:
    path = untrained("lm", Path("model.pt"))
    assert run("export", path, "out.onnx") == 2
    assert "no ONNX graph for models of the kind language-model" in " ".join(capsys.readouterr().err.split())
    assert not Path("out.onnx").exists()


def test_a_model_with_a_memory_of_texts_is_not_exported(trained: Path) -> None:
    checkpoint = checkpoints.load(trained)
    stored = replace(
        checkpoint, tensors=checkpoint.tensors | {"memory/support": checkpoint.tensors["model/head.weight"]}
    )
    from lstmcli.inference import export

    with pytest.raises(ConfigError, match="memory of texts"):
        export.check(stored, "model.pt")
    assert not isinstance(engines.chosen(replace(stored, config=stored.config)), engines.Onnx)


def test_the_output_is_named_onnx_and_can_be_written(trained: Path, run: Run, capsys: Captured) -> None:
    assert run("export", trained, "out.pt") == 2
    assert "ends in .onnx" in capsys.readouterr().err
    Path("folder.onnx").mkdir()
    assert run("export", trained, "folder.onnx") == 2
    assert run("export", "missing.pt", "out.onnx") == 2
    assert not Path("out.onnx").exists()


def test_without_onnx_runtime_torch_scores_and_it_is_said_once(
    trained: Path, exported: Path, run: Run, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "installed", lambda: False)
    found: list[str] = []
    checkpoint = checkpoints.load(trained)
    predictions = Predictions(
        checkpoint, listener=lambda event: found.append(event.text) if isinstance(event, Noted) else None
    )
    list(predictions.of([[Question(1, "a fine film")], [Question(2, "dull")]]))
    assert len(found) == 1
    assert "pip install onnxruntime" in found[0]
    assert run("predict", "-c", trained, "a fine film") == 0
    assert capsys.readouterr().err.count("ONNX Runtime is not installed") == 1
    assert run("predict", "-c", exported, "a fine film") == 2
    assert "not installed" in capsys.readouterr().err


def test_where_onnx_runtime_fails_torch_scores_and_it_is_said_once(
    trained: Path, exported: Path, run: Run, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = answers(run, capsys, "-c", trained, "a fine film", "--precision", "float32")
    session = engines.session
    monkeypatch.setattr(engines, "session", lambda graph: session(graph[:-100]))
    near(answers(run, capsys, "-c", trained, "a fine film", "--precision", "float32"), expected)
    assert run("predict", "-c", trained, "a fine film") == 0
    assert capsys.readouterr().err.count("ONNX Runtime cannot run the model") == 1
    assert run("predict", "-c", exported, "a fine film") == 2
    assert "ONNX Runtime cannot run the model" in capsys.readouterr().err


def signed(model: onnx.ModelProto) -> bytes:
    """The file with a right checksum, as a forger would write it."""
    metadata = {entry.key: entry.value for entry in model.metadata_props if entry.key != "checksum"}
    del model.metadata_props[:]
    for key, value in (metadata | {"checksum": onnx_file._checksum(metadata, model)}).items():
        model.metadata_props.add(key=key, value=value)
    return model.SerializeToString()


def changed(change: Callable[[onnx.ModelProto], object]) -> Callable[[onnx.ModelProto], bytes]:
    def forge(model: onnx.ModelProto) -> bytes:
        change(model)
        return signed(model)

    return forge


def meta(key: str, value: str | None) -> Callable[[onnx.ModelProto], bytes]:
    """Other metadata; none: without it."""

    def change(model: onnx.ModelProto) -> None:
        kept = {entry.key: entry.value for entry in model.metadata_props if entry.key != key}
        del model.metadata_props[:]
        for name, text in (kept | ({} if value is None else {key: value})).items():
            model.metadata_props.add(key=name, value=text)

    return changed(change)


def header(change: Callable[[dict[str, Any]], object]) -> Callable[[onnx.ModelProto], bytes]:
    def forge(model: onnx.ModelProto) -> bytes:
        values = json.loads(next(entry.value for entry in model.metadata_props if entry.key == "lstmcli"))
        change(values)
        return meta("lstmcli", json.dumps(values))(model)

    return forge


def external(location: str) -> Callable[[onnx.ModelProto], bytes]:
    """Weights in another file."""

    def change(model: onnx.ModelProto) -> None:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)

    return changed(change)


def with_dims(*dims: int) -> Callable[[onnx.ModelProto], bytes]:
    def change(model: onnx.ModelProto) -> None:
        del model.graph.initializer[0].dims[:]
        model.graph.initializer[0].dims.extend(dims)

    return changed(change)


def with_value(value: float) -> Callable[[onnx.ModelProto], bytes]:
    def change(model: onnx.ModelProto) -> None:
        tensor = next(one for one in model.graph.initializer if one.name == "head.bias")
        tensor.raw_data = np.full(tuple(tensor.dims), value, np.float32).tobytes()

    return changed(change)


def halved(name: str) -> Callable[[onnx.ModelProto], bytes]:
    """An array in a type that its operator does not have."""

    def change(model: onnx.ModelProto) -> None:
        tensor = next(one for one in model.graph.initializer if one.name == name)
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), name))

    return changed(change)


def endless(model: onnx.ModelProto) -> None:
    """A loop of 10^12 steps before the logits."""
    step, keep, kept = (
        helper.make_tensor_value_info(name, kind, [])
        for name, kind in {"step": TensorProto.INT64, "keep": TensorProto.BOOL, "kept": TensorProto.BOOL}.items()
    )
    body = helper.make_graph([helper.make_node("Identity", ["keep"], ["kept"])], "body", [step, keep], [kept])
    model.graph.initializer.append(helper.make_tensor("steps", TensorProto.INT64, [], [10**12]))
    model.graph.node.append(helper.make_node("Loop", ["steps", ""], [], body=body))


def huge(model: onnx.ModelProto) -> None:
    """An array of 10^13 numbers."""
    model.graph.initializer.append(helper.make_tensor("shape", TensorProto.INT64, [2], [10**7, 10**6]))
    model.graph.node.append(helper.make_node("ConstantOfShape", ["shape"], ["huge"]))


def length(part: bytes) -> bytes:
    """The length of a part as protobuf writes it."""
    found, left = [], len(part)
    while left > 127:
        found.append(left & 127 | 128)
        left >>= 7
    return bytes([*found, left])


def foreign(_: onnx.ModelProto) -> bytes:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [value],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])])  # fmt: skip
    return helper.make_model(graph).SerializeToString()


FORGED: dict[str, Callable[[onnx.ModelProto], bytes]] = {
    "empty": lambda _: b"",
    "text": lambda _: b"text,label\nfine,good\n",
    "foreign": foreign,
    "format of another program": meta("format", "other"),
    "another version": meta("version", "99"),
    "no header": meta("lstmcli", None),
    "header no JSON": meta("lstmcli", "{"),
    "header a list": meta("lstmcli", "[]"),
    "header nested 100,000 deep": meta("lstmcli", "[" * 100_000 + "]" * 100_000),
    "no tokenizer": meta("tokenizer", None),
    "another tokenizer": meta("tokenizer", '{"model": {"type": "BPE"}}'),
    "no labels": meta("labels", "[]"),
    "other labels": meta("labels", '["a", "b", "c"]'),
    "labels numbers": meta("labels", "[1, 2]"),
    "temperature 0": meta("temperature", "0"),
    "temperature NaN": meta("temperature", "NaN"),
    "arrays a list": meta("arrays", "[1, 2]"),
    "an array a number": meta("arrays", '{"conformal/scores": 1}'),
    "an array of a negative shape": meta("arrays", '{"conformal/scores": ["float64", [-1, -1], "AAAAAAAAAAA="]}'),
    "arrays no base64": meta("arrays", '{"conformal/scores": ["float64", [1], "?"]}'),
    "arrays of another kind": meta("arrays", '{"model/head.weight": ["float64", [1], "AAAAAAAAAAA="]}'),
    "arrays larger than their bytes": meta("arrays", '{"conformal/scores": ["float64", [1000000000], "AAAAAAAAAAA="]}'),
    "hidden 8192": header(lambda one: one["config"]["model"].update(hidden=8192)),
    "another pooling": header(lambda one: one["config"]["model"].update(pooling="last")),
    "a language model": header(lambda one: one["config"].update(model={"name": "language-model"})),
    "an array without a shape": meta("arrays", '{"conformal/scores": ["float64", null, "AAAAAAAAAAA="]}'),
    "an array of a huge shape": meta("arrays", f'{{"conformal/scores": ["float64", [{2**70}], "AAAAAAAAAAA="]}}'),
    "scores NaN": meta("arrays", '{"conformal/scores": ["float64", [1], "AAAAAAAA+H8="]}'),
    "scores of two dimensions": meta("arrays", '{"conformal/scores": ["float64", [1, 1], "AAAAAAAAAAA="]}'),
    "a prior of one label": meta("arrays", '{"baseline/prior": ["float64", [1], "AAAAAAAAAAA="]}'),
    "other metadata": meta("ort_config", '{"session_options": {"inter_op_num_threads": 64}}'),
    "a graph for training": changed(lambda model: model.training_info.add()),
    "another domain": changed(lambda model: setattr(model, "domain", "other")),
    "a field that ONNX does not have": lambda model: signed(model) + b"\x9a\x06\x04more",
    "another operator": changed(lambda model: setattr(model.graph.node[0], "op_type", "Identity")),
    "an operator of python": changed(lambda model: model.graph.node.append(helper.make_node("PyOp", [], []))),
    "a loop": changed(endless),
    "a huge array": changed(huge),
    "a function": changed(lambda model: model.functions.append(helper.make_function("d", "f", [], [], [], []))),
    "another opset": changed(lambda model: setattr(model.opset_import[0], "version", 1)),
    "external data": external("weights.bin"),
    "external data above": external("../../../../etc/passwd"),
    "external data absolute": external("/etc/passwd"),
    "dims of 10^18": with_dims(10**9, 10**9),
    "dims below zero": with_dims(-1, -8),
    "dims of another shape": with_dims(1, 1),
    "weights NaN": with_value(float("nan")),
    "weights infinite": with_value(float("inf")),
    "a head of half precision": halved("head.weight"),
    "an array missing": changed(lambda model: model.graph.initializer.pop(0)),
    "an array twice": changed(lambda model: model.graph.initializer.append(model.graph.initializer[0])),
    "another array": changed(lambda model: model.graph.initializer.append(helper.make_tensor("more", 1, [1], [0.0]))),
    "a million nodes": lambda model: signed(model) + b"\x3a\x80\x89\x7a" + b"\x0a\x00" * 1_000_000,
    "a million names": lambda model: signed(model) + b"\x12\x00" * 1_000_000,
    "a million fields of metadata": lambda _: (b"\x72\xd8\x1d" + b"\x0a\x00" * 1_900) * 600,
    "ten graphs of 1,900 arrays": lambda _: b"".join(
        b"\x3a" + length(one) + one for one in [(b"\x2a" + length(b"\x08\x00" * 100) + b"\x08\x00" * 100) * 1_900] * 10
    ),
    "one node of a million attributes": lambda _: b"\x3a\x84\x89\x7a\x0a\x80\x89\x7a" + b"\x2a\x00" * 1_000_000,
}  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
def test_forged_files_are_refused_at_once(name: str, exported: Path, run: Run, capsys: Captured) -> None:
    path = Path("model.onnx")
    path.write_bytes(FORGED[name](onnx.ModelProto.FromString(exported.read_bytes())))
    begun = time.process_time()
    assert run("predict", "-c", path, "a fine film") == 2
    assert time.process_time() - begun < 2
    message = capsys.readouterr().err
    assert "model.onnx" in message
    assert "Traceback" not in message


def test_damaged_files_are_refused_or_the_same(exported: Path) -> None:
    whole, random = exported.read_bytes(), np.random.default_rng(0)
    assert onnx_file.of_bytes(whole, "model.onnx").graph == whole
    accepted = 0
    for _ in range(150):
        damaged = bytearray(whole)
        damaged[random.integers(len(whole))] ^= 1 << random.integers(8)
        for content in (bytes(damaged), whole[: random.integers(len(whole))]):
            try:
                onnx_file.of_bytes(content, "model.onnx")
                accepted += 1
            except LstmcliError as error:
                assert error.fix  # noqa: PT017
    assert accepted < 10  # a flipped bit in the model card


MEASURED = """
import sys
from pathlib import Path
from lstmcli.errors import LstmcliError
from lstmcli.storage import onnx_file
import onnx

def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024

before = peak()
try:
    onnx_file.of_bytes(Path(sys.argv[1]).read_bytes(), "model.onnx")
except LstmcliError:
    print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the peak of memory")
@pytest.mark.parametrize("name", ["a million nodes", "one node of a million attributes", "hidden 8192"])
def test_no_forged_file_takes_much_memory(name: str, exported: Path) -> None:
    path = Path("model.onnx")
    path.write_bytes(FORGED[name](onnx.ModelProto.FromString(exported.read_bytes())))
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, path], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    assert float(done.stdout) < 60  # MB


BLOCK = """
import sys
class Blocked:
    def find_spec(self, name, *_):
        if name.split(".")[0] in ("lstmcli", "torch", "onnx"):
            raise ImportError(name)
sys.meta_path.insert(0, Blocked())
"""


def test_the_script_of_the_readme_runs_without_lstmcli(exported: Path, run: Run, capsys: Captured) -> None:
    text = (ROOT / "lstmcli" / "graphs" / "README.md").read_text("utf-8")
    (script,) = (part.split("```")[0] for part in text.split("```python\n")[1:] if "import onnxruntime" in part)
    Path("model.onnx").write_bytes(exported.read_bytes())
    texts = TEXTS[:3]
    code = BLOCK + script + f"\nprint(json.dumps([probabilities(one) for one in {texts!r}]))\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd())
    found = json.loads(done.stdout.splitlines()[-1])
    expected = [one["probabilities"] for one in answers(run, capsys, "-c", exported, *texts)]
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, abs=2e-6)


def test_a_model_that_is_not_there_is_reported_without_an_option_of_other_commands(
    run: Run, capsys: Captured, tmp_path: Path
) -> None:
    assert run("export", tmp_path / "nothing.pt", tmp_path / "x.onnx") == 2
    message = capsys.readouterr().err
    assert "there is no such checkpoint" in message
    assert "-c " not in message
