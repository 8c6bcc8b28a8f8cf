"""Taggers, and models of several labels per text, on ONNX Runtime: the same answers as torch's in every command."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import lstmcli
from lstmcli.data.text import word_features
from lstmcli.data.text.sentences import sentences
from lstmcli.graphs import classifier, tagger
from lstmcli.inference import engines
from lstmcli.inference.predict import Predictions
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage import onnx_file
from lstmcli.storage.text_io import Question
from tests.conftest import ROOT
from tests.e2e.test_onnx import BLOCK, changed, header, signed

Run = Callable[..., int]
Captured = pytest.CaptureFixture[str]
PEOPLE, PLACES = ("Ada", "Grace", "Alan", "Émile"), ("Turin", "Oslo", "Lima", "東京")
SENTENCES = [
    ((person, "Byron", verb, "the", place, "."), ("B-PER", "I-PER", "O", "O", "B-LOC", "O"))
    for person in PEOPLE
    for place in PLACES
    for verb in ("saw", "left")
]
RAW = [
    "Grace Byron saw the 4x4 in Oslo. McGee wasn't in Turin, Ada left.",
    "",
    "EU -- 1996 . Émile Byron left the 東京 hall.\n\nAlan Byron saw Lima.",
    "nothing of this is known",
]
WORDS = {"warm": ("snug", "soft", "cosy"), "cheap": ("sale", "bargain", "deal"), "late": ("delay", "queue", "courier")}
TOPICS = [[topic for bit, topic in enumerate(WORDS) if number >> bit & 1] for number in range(120)]
TEXTS = [
    f"item {number % 7} is {' '.join(WORDS[topic][number % 3] for topic in topics)} or so"
    for number, topics in enumerate(TOPICS)
]
SMALL: dict[str, Any] = {"model__hidden": 12, "model__embedding": 8, "model__vectors": None, "train__lr": 0.03,
                         "train__batch_tokens": 64, "threads": 1, "precision": "float32"}  # fmt: skip
OF_SETS = {"model__init": None, "model__sentence_embedding": 0, "tokens__min_count": 1, "train__min_steps": None}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Small trained models by task, and data of each in a file."""
    folder = tmp_path_factory.mktemp("models")
    words, tags = zip(*SENTENCES, strict=True)
    lstmcli.fit(words, tags, recipe="entities", **SMALL, train__epochs=12).save(folder / "tag.pt")
    lstmcli.fit(TEXTS, TOPICS, **SMALL, **OF_SETS, train__epochs=20).save(folder / "sets.pt")
    lines = ["\n".join(" ".join(pair) for pair in zip(*one, strict=True)) for one in SENTENCES]
    (folder / "tag").mkdir()
    (folder / "tag" / "test.txt").write_text("\n\n".join(lines) + "\n", "utf-8")
    rows = [json.dumps({"text": text, "label": topics}) for text, topics in zip(TEXTS, TOPICS, strict=True)]
    (folder / "sets.jsonl").write_text("\n".join(rows), "utf-8")
    return {"tag": folder / "tag.pt", "sets": folder / "sets.pt", "tag data": folder / "tag",
            "sets data": folder / "sets.jsonl"}  # fmt: skip


def said(run: Run, capsys: Captured, *arguments: object) -> Any:
    capsys.readouterr()
    assert run(*arguments, "--json") == 0
    return json.loads(capsys.readouterr().out)


def rounded(value: Any) -> Any:
    """Floats to four digits, of what may differ by rounding alone."""
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [rounded(inner) for inner in value]
    return pytest.approx(value, abs=1e-5) if isinstance(value, float) else value


@pytest.mark.parametrize("kind", ["tag", "sets"])
def test_torch_and_onnx_runtime_give_the_same_answers(kind: str, models: dict[str, Path]) -> None:
    checkpoint = checkpoints.load(models[kind])
    checkpoint = replace(checkpoint, config=checkpoint.config.model_copy(update={"precision": "float32"}))
    given = [(text, ()) for text in (RAW if kind == "tag" else TEXTS[:20])]
    given += [(" ".join(words), words) for words, _ in SENTENCES[:5]] if kind == "tag" else []
    questions = [
        Question(row, text, "" if text else "no text", words=words) for row, (text, words) in enumerate(given, 1)
    ]
    fast, slow = Predictions(checkpoint), Predictions(checkpoint)
    assert isinstance(fast._engine, engines.Onnx)
    slow._engine = engines.Engine(checkpoint)
    first, second = ([one.answer for one in each.of([questions])] for each in (fast, slow))
    assert first == rounded(second)
    assert sum(len(answer["entities" if kind == "tag" else "labels"] or ()) for answer in first) > 8


@pytest.mark.parametrize("kind", ["tag", "sets"])
def test_exports_agree_with_the_model_and_replace_it(
    kind: str, models: dict[str, Path], tmp_path: Path, run: Run, capsys: Captured
) -> None:
    data, metric = models[f"{kind} data"], {"tag": "f1", "sets": "micro_f1"}[kind]
    for more in ([], ["--int8"]):
        found = said(run, capsys, "export", models[kind], f"{len(more)}.onnx", "--data", data, *more)
        assert (found["equal"], found["int8"]) == (1.0, bool(more))
        assert found[metric]["model"] == found[metric]["export"] > 0.9
        assert (found["largest"] <= 1e-5) == (not more)
    reports = [said(run, capsys, "evaluate", "-c", one, "--data", data) for one in (models[kind], "0.onnx", "1.onnx")]
    for report in reports:
        assert report["metrics"] == rounded(reports[0]["metrics"])
        by = "types" if kind == "tag" else "by_label"
        assert report[by] == rounded(reports[0][by])
    source = tmp_path / "in.txt"
    source.write_text("\n".join(RAW[0::3] if kind == "tag" else TEXTS), "utf-8")
    answers = []
    for model in (models[kind], "0.onnx"):
        assert run("predict", "-c", model, "-i", source, "-o", "out.jsonl", "-q") == 0
        answers.append(list(map(json.loads, Path("out.jsonl").read_text("utf-8").splitlines())))
    assert answers[1] == rounded(answers[0])
    assert lstmcli.load("0.onnx").classes_.tolist() == lstmcli.load(models[kind]).classes_.tolist()
    onnx.checker.check_model(onnx.load("1.onnx"), full_check=False)


def test_without_data_of_its_own_a_tagger_is_compared_on_bundled_sentences(
    models: dict[str, Path], run: Run, capsys: Captured
) -> None:
    found = said(run, capsys, "export", models["tag"], "tag.onnx")
    assert (found["texts"], found["f1"]) == (36, None)


@pytest.mark.parametrize(("kind", "module", "name"), [("tag", tagger, "window.0"), ("sets", classifier, "head.bias")])
def test_an_export_that_does_not_agree_is_not_written(
    kind: str,
    module: Any,
    name: str,
    models: dict[str, Path],
    run: Run,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prepared = module.prepared

    def other(*arguments: Any) -> Any:
        return {key: value + 0.3 * (key == name) for key, value in prepared(*arguments).items()}

    monkeypatch.setattr(module, "prepared", other)
    assert run("export", models[kind], "out.onnx", "--data", models[f"{kind} data"]) == 2
    assert "does not agree" in capsys.readouterr().err
    assert not Path("out.onnx").exists()


def test_int8_that_loses_entities_is_not_written(
    models: dict[str, Path], run: Run, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though nearly all tags are equal."""
    quantised = tagger.quantised
    outside = np.zeros(9, np.float32)

    def worse(arrays: Any) -> Any:
        small = quantised(arrays)
        outside[0] = 4
        return small | {"head.bias": small["head.bias"] + outside}

    monkeypatch.setattr(tagger, "quantised", worse)
    monkeypatch.setattr("lstmcli.inference.export.EQUAL_INT8", 0.5)
    assert run("export", models["tag"], "out.onnx", "--data", models["tag data"], "--int8") == 2
    message = " ".join(capsys.readouterr().err.split())
    assert "does not agree" in message
    assert "leave out --int8" in message


def with_array(name: str, value: Callable[[Any], Any]) -> Callable[[onnx.ModelProto], bytes]:
    def change(model: onnx.ModelProto) -> None:
        tensor = next(one for one in model.graph.initializer if one.name == name)
        tensor.CopyFrom(onnx.numpy_helper.from_array(value(onnx.numpy_helper.to_array(tensor)), name))

    return changed(change)


FORGED = {
    "transitions NaN": with_array("chain.transitions", lambda one: one * np.float32("nan")),
    "transitions of other tags": with_array("chain.transitions", lambda one: one[:-1]),
    "start of half precision": with_array("chain.start", lambda one: one.astype(np.float16)),
    "characters of another width": with_array("window.1", lambda one: one[:, :-1]),
    "fewer word vectors": with_array("embedding.weight", lambda one: one[:-1]),
    "other characters": header(lambda one: one["config"]["model"].update(characters="lstm")),
    "another head": header(lambda one: one["config"]["model"].update(head="softmax", characters="none")),
    "frozen words": header(lambda one: one["vocabulary"].update(carried=2)),
    "another operator": changed(lambda model: setattr(model.graph.node[-1], "op_type", "Neg")),
    "another input": changed(lambda model: setattr(model.graph.input[-1], "name", "more")),
}


@pytest.mark.parametrize("name", FORGED)
def test_forged_taggers_are_refused(name: str, models: dict[str, Path], run: Run, capsys: Captured) -> None:
    assert run("export", models["tag"], "tag.onnx", "-q") == 0
    model = onnx.load("tag.onnx")
    assert onnx_file.of_bytes(signed(model), "tag.onnx").graph is not None
    Path("tag.onnx").write_bytes(FORGED[name](model))
    capsys.readouterr()
    assert run("predict", "-c", "tag.onnx", "Ada saw Turin") == 2
    assert "tag.onnx" in capsys.readouterr().err


@pytest.mark.parametrize("exported", [False, True])
def test_a_threshold_of_several_labels_replaces_that_of_its_label(
    exported: bool, models: dict[str, Path], run: Run, capsys: Captured
) -> None:
    path = models["sets"]
    if exported:
        assert run("export", path, "sets.onnx", "--data", models["sets data"], "-q") == 0
        path = Path("sets.onnx")
    stored = checkpoints.opened(path).progress["thresholds"]
    thresholds = {"warm": 0.999999, "cheap": 0.0}
    options = [part for label, value in thresholds.items() for part in ("--threshold", f"{label}={value}")]
    capsys.readouterr()
    assert run("predict", "-c", path, *TEXTS[:30], *options, "--json") == 0
    answers = list(map(json.loads, capsys.readouterr().out.splitlines()))
    limits = stored | thresholds
    for answer in answers:
        probabilities = answer["probabilities"]
        assert set(answer["labels"]) == {label for label, p in probabilities.items() if p >= limits[label]}
        assert answer["labels"] == sorted(answer["labels"], key=probabilities.__getitem__, reverse=True)
    model = lstmcli.load(path)
    assert model.predict(TEXTS[:30], thresholds=thresholds) == [answer["labels"] for answer in answers]
    assert model.predict(TEXTS[:30]) != [answer["labels"] for answer in answers]


def test_a_threshold_of_an_adapted_model_leaves_the_others_at_a_half(models: dict[str, Path]) -> None:
    model = lstmcli.load(models["sets"]).adapt(TEXTS[:20], [["x"] if "warm" in one else ["y"] for one in TOPICS[:20]])
    probabilities = model.predict_proba(TEXTS[:30])
    found = model.predict(TEXTS[:30], thresholds={"x": 0.9})
    limits = [0.9 if label == "x" else 0.5 for label in model.classes_]
    assert list(map(set, found)) == [set(model.classes_[row >= limits].tolist()) for row in probabilities]


def scripts() -> tuple[str, str]:
    """The lines of the page that read a file, and the function that tags."""
    text = (ROOT / "lstmcli" / "graphs" / "README.md").read_text("utf-8")
    first, second = (part.split("```")[0] for part in text.split("```python\n")[1:])
    return first.split("def probabilities")[0], second


def test_the_tagger_of_the_readme_runs_without_lstmcli(models: dict[str, Path], run: Run) -> None:
    assert run("export", models["tag"], "model.onnx", "--data", models["tag data"], "-q") == 0
    texts = [" ".join(words) for words, _ in SENTENCES[::5]] + [
        RAW[0].split(". ")[0],
        "MIXed--CASE 4x4 東京 -- 1996 EU",
    ]
    split = [[text[begin:end] for begin, end in sentences(text)[0]] for text in texts]
    code = BLOCK + "".join(scripts()) + f"\nprint(json.dumps([tagged(words) for words in {split!r}]))\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd())
    found = json.loads(done.stdout.splitlines()[-1])
    model = lstmcli.load("model.onnx")
    expected = model.predict(split)
    for words, tags, entities in zip(split, found, expected, strict=True):
        begins = np.cumsum([0, *(len(word) + 1 for word in words)]).tolist()
        assert [begins[at] for at, tag in enumerate(tags) if tag[0] in "BS"] == [one["start"] for one in entities]
        assert [tag[2:] for tag in tags if tag[0] in "BS"] == [one["label"] for one in entities]


def test_the_casing_of_the_readme_is_that_of_the_tagger() -> None:
    code = scripts()[1]
    space: dict[str, Any] = {}
    exec(code[code.index("def casing") : code.index("def tagged")], space)
    random = np.random.default_rng(0)
    letters = list("aB1-éÉ東.ªẞ")
    words = ["".join(random.choice(letters, random.integers(1, 5))) for _ in range(2_000)]
    assert [space["casing"](word) for word in words] == [int(word_features.casing(word)) for word in words]
