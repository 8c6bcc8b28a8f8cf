"""Every registered data set, model and learner goes through the real commands ``train``, ``adapt``, ``evaluate`` and
``predict``."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from lstmcli import registry
from lstmcli.config import Data, RunConfig
from lstmcli.config.fields import kinds
from lstmcli.config.models import ModelSection
from lstmcli.contracts import TaskHooks, hooks
from lstmcli.types import Example, LabelSet, Rows
from tests.conftest import BAD, GOOD, LEARNERS, MODELS, READERS, TASKS, write_table
from tests.contract.test_readers import specimen

pytestmark = pytest.mark.slow  # whole commands, one after the other

Run = Callable[..., int]
Captured = pytest.CaptureFixture[str]
LABELS = ("bad", "good")
COPIES = 12  # of each example of a specimen, which alone is too small to train on
TINY = {"embedding": 4, "hidden": 4, "character_embedding": 2, "character_features": 4}  # where the section has it


def sections(kind: type[ModelSection] = ModelSection) -> Iterator[type[ModelSection]]:
    for section in kind.__subclasses__():
        yield from (section, *sections(section))


SECTIONS = {section.model_fields["name"].default: section for section in sections() if "name" in section.model_fields}


def enlarged(rows: Rows) -> Rows:
    """Each example a dozen times, with a word of its own; texts with a label get each label in turn."""
    examples = []
    for example in rows.examples:
        for number in range(COPIES):
            label = LABELS[number % 2]
            if isinstance(example.text, tuple):
                text, target = (*example.text, label), (*(example.target or ()), "O")
                examples.append(replace(example, text=(str(number), *text), target=("O", *target)))
            else:
                target = None if example.target is None else LabelSet({label}) if of_sets(example) else label
                examples.append(replace(example, text=f"{example.text} {label} {number}", target=target))
    return Rows(examples, rows.bad, rows.notes)


def of_sets(example: Example) -> bool:
    return isinstance(example.target, LabelSet)


def read_by(name: str) -> list[dict[str, Any]]:
    """The ways to read a data set: a table's labels are one per text, or sets."""
    return [{"name": name}, *([{"name": name, "label_separator": ","}] if name == "table" else [])]


def fitting(examples: list[Example]) -> list[str]:
    """The models whose tasks read such examples."""
    kind = "stream" if examples[0].target is None else "text"
    reads = "words" if isinstance(examples[0].text, tuple) else kind
    tasks = {model: registry.task(SECTIONS[model].task) for model in MODELS}
    sets = of_sets(examples[0])
    return [model for model, task in tasks.items()
            if reads == task.READS and (reads != "text" or sets == hooks(TaskHooks, task).LABEL_SETS)]  # fmt: skip


def recipe(folder: Path, data: dict[str, Any], model: str, **more: Any) -> Path:
    """A recipe of one epoch with a model as small as can be."""
    section = SECTIONS[model]
    values = {
        "data": data,
        "tokens": {"min_count": 1},
        "model": {"name": model, **{key: value for key, value in TINY.items() if key in section.model_fields}},
        "train": {"epochs": 1, "batch_tokens": 256},
        "precision": "float32",
        "threads": 1,
        **more,
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(values), "utf-8")
    return path


def said(run: Run, capsys: Captured, *arguments: object) -> Any:
    """What a command prints as JSON."""
    capsys.readouterr()
    assert run(*arguments, "--json") == 0
    return json.loads(capsys.readouterr().out)


def answers(run: Run, checkpoint: Path, folder: Path) -> list[dict[str, Any]]:
    """What ``predict`` says of two texts."""
    (folder / "asked.txt").write_text(f"{GOOD[0]}\n{BAD[0]}\n", "utf-8")
    arguments = ("predict", "-c", checkpoint, "--input", folder / "asked.txt", "--output", folder / "said.jsonl", "-q")
    assert run(*arguments) == 0
    return [json.loads(line) for line in (folder / "said.jsonl").read_text("utf-8").splitlines()]


def test_every_task_has_a_model_and_every_model_a_data_set(tmp_path: Path) -> None:
    models: set[str] = set()
    for name in READERS:
        root = specimen(name, tmp_path / name)
        for way in read_by(name):
            models |= set(fitting(registry.reader(name).read(root, "train", Data(**way)).examples))
    assert models == set(MODELS)  # so that the next test misses none
    assert {SECTIONS[model].task for model in MODELS} == set(TASKS)


@pytest.mark.parametrize("name", READERS)
def test_every_data_set_and_model_goes_through_the_commands(
    name: str, run: Run, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = registry.reader(name)
    read = reader.read
    monkeypatch.setattr(reader, "read", lambda *arguments: enlarged(read(*arguments)))
    root = specimen(name, tmp_path / "data")
    ways = [
        (way, model) for way in read_by(name) for model in fitting(reader.read(root, "train", Data(**way)).examples)
    ]
    for way, model in ways:
        task = SECTIONS[model].task
        out = tmp_path / model
        assert run("train", recipe(tmp_path, way | {"path": str(root)}, model), "--out", out, "-q") == 0
        checkpoint = out / "model.pt"
        report = said(run, capsys, "evaluate", "-c", checkpoint)
        assert report["task"] == task
        assert registry.task(task).PRIMARY in report["metrics"]
        assert report["examples"] > 0
        assert len(answers(run, checkpoint, tmp_path)) == 2
        sets = "label_separator" in way
        how = ("--learner", "anchored") if sets else ("--steps", "1")
        adapt = ("adapt", "-c", checkpoint, "--data", root, "--shots", "2", *how, "--out", out / "a.pt")
        if registry.task(task).READS == "stream":
            assert run(*adapt) == 2
            assert "no labels to adapt to" in capsys.readouterr().err
            continue
        found = said(run, capsys, *adapt)
        assert (min(found["support"].values()), found["steps"]) == (
            2,
            0 if sets else 1,
        )  # a sentence may have entities of two types
        assert len(answers(run, out / "a.pt", tmp_path)) == 2


@pytest.mark.parametrize("name", LEARNERS)
def test_every_learner_goes_through_the_commands(name: str, run: Run, tmp_path: Path, capsys: Captured) -> None:
    table = write_table(tmp_path / "mine.csv", copies=10)
    episodes = {"shots": 1, "queries": 1, "batch": 2, "count": 4, "validation": 2}
    trained = kinds(RunConfig.model_fields["learner"].annotation)[name].meta_trained
    own = {"learner": {"name": name}} | ({"episodes": episodes} if trained else {})
    model = next(model for model in MODELS if SECTIONS[model].task == "classify")
    out = tmp_path / "run"
    assert run("train", recipe(tmp_path, {"path": str(table)}, model, **own), "--out", out, "-q") == 0
    few = ("-c", out / "model.pt", "--data", table, "--shots", "2")
    report = said(run, capsys, "evaluate", *few, "--learner", name, "--episodes", "2")
    assert (report["episodes"], report["shots"]) == (2, 2)
    assert 0 <= report["metrics"]["accuracy"]["value"] <= 1
    found = said(run, capsys, "adapt", *few, "--learner", name, "--out", out / "a.pt")
    assert found["support"] == {"bad": 2, "good": 2}
    found = answers(run, out / "a.pt", tmp_path)
    assert [set(answer["probabilities"]) for answer in found] == [{"bad", "good"}] * 2
