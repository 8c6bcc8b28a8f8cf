"""A new data set, task, model and learner, added as a contributor would: files of their own, a line in the registry
each, and a section in the config. No other file of the program knows them."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Union, get_args

import numpy as np
import pytest
import torch
import yaml
from pydantic import Tag

from lstmcli import load, registry
from lstmcli.config import RunConfig, Section
from lstmcli.tasks.classify import loss
from lstmcli.types import Batch
from tests.conftest import BAD, GOOD
from tests.contract.extension import learner, model, sections, task

Run = Callable[..., int]
Captured = pytest.CaptureFixture[str]
HERE = "tests.contract.extension"


def widen(field: str, *sections: type[Section]) -> Any:
    """Add the sections to those that the field may hold; returns what it held before."""
    info = RunConfig.model_fields[field]
    before = info.annotation
    tagged = (Annotated[section, Tag(section.model_fields["name"].default)] for section in sections)
    info.annotation = Union[(*get_args(before), *tagged)]
    return before


@pytest.fixture
def extended(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The registry and the config with more entries."""
    monkeypatch.setitem(registry.DATASETS, "stars", f"{HERE}.reader")
    monkeypatch.setitem(registry.TASKS, "rate", f"{HERE}.task")
    monkeypatch.setitem(registry.MODELS, "cnn", f"{HERE}.model")
    monkeypatch.setitem(registry.MODELS, "rater", f"{HERE}.model")
    monkeypatch.setitem(registry.LEARNERS, "gaussian", f"{HERE}.learner")
    before = {"model": widen("model", sections.Cnn, sections.Rater), "learner": widen("learner", sections.Gaussian)}
    RunConfig.model_rebuild(force=True)
    yield
    for field, annotation in before.items():
        RunConfig.model_fields[field].annotation = annotation
    RunConfig.model_rebuild(force=True)


@pytest.fixture
def stars(tmp_path: Path) -> Path:
    """Reviews of the layout that the new reader knows."""
    folder = tmp_path / "stars"
    folder.mkdir()
    for split, copies in (("train", 10), ("test", 2)):
        lines = [f"{stars}\t{text} {number}" for number in range(copies)
                 for stars, texts in ((5, GOOD), (1, BAD)) for text in texts]  # fmt: skip
        (folder / f"{split}.stars").write_text("\n".join([*lines, "3\tneither"]), "utf-8")
    return folder


def recipe(folder: Path, data: Path, /, **more: Any) -> Path:
    values = {
        "data": {"name": "stars", "path": str(data)},
        "tokens": {"min_count": 1},
        "model": {"name": "cnn", "embedding": 8, "channels": 16, "width": 2, "dropout": 0.0},
        "train": {"epochs": 8, "batch_tokens": 64, "lr": 0.03},
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
    assert run(*arguments) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.usefixtures("extended")
def test_a_new_data_set_model_and_learner_go_through_every_command(
    run: Run, stars: Path, tmp_path: Path, capsys: Captured
) -> None:
    out = tmp_path / "run"
    assert run("train", recipe(tmp_path, stars), "--out", out, "-q") == 0
    report = said(run, capsys, "evaluate", "-c", out / "model.pt", "--split", "test", "--json")
    assert (report["examples"], report["metrics"]["accuracy"]["value"]) == (16, 1.0)
    asked = tmp_path / "asked.txt"
    asked.write_text(f"{GOOD[0]}\n{BAD[0]}\n", "utf-8")
    assert run("predict", "-c", out / "model.pt", "--input", asked, "--output", tmp_path / "a.jsonl", "-q") == 0
    answers = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text("utf-8").splitlines()]
    assert [answer["label"] for answer in answers] == ["positive", "negative"]
    adapt = ("adapt", "-c", out / "model.pt", "--data", stars, "--shots", "4", "--out", tmp_path / "a.pt", "--json")
    assert said(run, capsys, *adapt)["after"]["accuracy"]["value"] == 1.0
    found = said(run, capsys, *adapt, "--learner", "gaussian")
    assert (found["support"], found["steps"]) == ({"negative": 4, "positive": 4}, 0)
    assert found["after"]["accuracy"]["value"] == 1.0


@pytest.mark.usefixtures("extended")
def test_a_new_learner_is_meta_trained(run: Run, stars: Path, tmp_path: Path, capsys: Captured) -> None:
    learner = {"learner": {"name": "gaussian"}}
    few = {"episodes": {"shots": 2, "queries": 2, "batch": 4, "count": 40, "validation": 4}}
    out = tmp_path / "run"
    assert run("train", recipe(tmp_path, stars, **learner, **few), "--out", out, "-q", "--epochs", "6") == 0
    episodes = ("--shots", "2", "--episodes", "5", "--json")
    report = said(run, capsys, "evaluate", "-c", out / "model.pt", "--data", stars, *episodes)
    assert report["metrics"]["accuracy"]["value"] > 0.9


@pytest.fixture
def rated(tmp_path: Path) -> Path:
    """A table of texts rated from 1 to 3."""
    texts = {1: ("It leaks.", "Dull and loud."), 2: ("It boils water.", "Plain and usual."),
             3: ("A joy.", "Quick and quiet.")}  # fmt: skip
    rows = [f"{text} {number},{rating}" for number in range(12) for rating in texts for text in texts[rating]]
    (tmp_path / "rated.csv").write_text("\n".join(["text,label", *rows]), "utf-8")
    return tmp_path / "rated.csv"


@pytest.mark.usefixtures("extended")
def test_a_new_task_goes_through_every_command(run: Run, rated: Path, tmp_path: Path, capsys: Captured) -> None:
    out = tmp_path / "run"
    model = {"name": "rater", "embedding": 8, "channels": 16, "width": 2, "dropout": 0.0}
    assert run("train", recipe(tmp_path, rated, data={"path": str(rated)}, model=model), "--out", out, "-q") == 0
    of_model = ("-c", out / "model.pt", "--data", rated)
    capsys.readouterr()
    assert run("predict", "-c", out / "model.pt", "It leaks. 3", "A joy. 3", "--json") == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["label"] for answer in answers] == ["1", "3"]
    texts = [line.rsplit(",", 1)[0] for line in rated.read_text("utf-8").splitlines()[1:]]
    described = said(run, capsys, "predict", "-c", out / "model.pt", "--json", *texts[:1])["label"]
    assert load(out / "model.pt").predict(texts[:1]).tolist() == [described]
    few = (*of_model, "--shots", "2")
    for command in (
        ("evaluate", *of_model, "--report", tmp_path),
        ("evaluate", *few, "--episodes", "2", "--split", "train"),
        ("adapt", *few, "--out", tmp_path / "adapted.pt"),
    ):
        assert run(*command) == 0
        shown = capsys.readouterr()
        assert "distance" in shown.out
        assert "accuracy" not in shown.out.replace("balanced accuracy", "")
        assert "not better than" not in shown.err  # the baselines have the higher figure: they are worse
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert (report["task"], report["metrics"]) == ("rate", {"distance": {"value": 0.0, "low": 0.0, "high": 0.0}})
    assert report["baselines"]["majority"]["distance"]["value"] > 0


@pytest.mark.usefixtures("extended")
def test_a_model_of_an_unknown_task_is_an_error(
    run: Run, rated: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(registry.TASKS, "rate")
    assert run("train", recipe(tmp_path, rated, data={"path": str(rated)}, model={"name": "rater"}), "--dry-run") == 2
    assert "'rate' is not registered" in capsys.readouterr().err


def test_the_new_task_predicts_the_median_and_scores_its_distance() -> None:
    probabilities = np.array([[0.5, 0.1, 0.4], [0.4, 0.2, 0.4], [0.3, 0.1, 0.6], [0.0, 0.0, 1.0]])
    assert task.medians(probabilities).tolist() == [0, 1, 2, 2]
    assert task.measure(probabilities, np.array([0, 0, 0, 1]))["distance"].value == (0 + 0.5 + 1 + 0.5) / 4


def test_the_new_model_equals_a_loop_over_words() -> None:
    torch.manual_seed(0)
    made = model.build(sections.Cnn(embedding=3, channels=4, width=2), words=9, labels=2).double().eval()
    rows = [[3, 5, 8], [4]]
    padded = Batch(torch.tensor([[3, 5, 8, 0], [4, 0, 0, 0]]), torch.tensor([3, 1]))
    for row, embedding in zip(rows, made(padded).embedding, strict=True):
        vectors = [made.embedding.weight[word] for word in row] + [torch.zeros(3, dtype=torch.float64)]
        features = [made.convolution(torch.stack((vectors[place], vectors[place + 1]), dim=1).flatten()).relu()
                    for place in range(len(row))]  # fmt: skip
        torch.testing.assert_close(embedding, torch.stack(features).amax(dim=0), rtol=0, atol=1e-12)


def test_the_new_learner_says_what_the_density_of_its_classes_does() -> None:
    torch.manual_seed(0)
    made = model.build(sections.Cnn(embedding=3, channels=4), words=9, labels=2).double().eval()
    support = Batch(torch.randint(1, 9, (1, 6, 3)), torch.full((1, 6), 3), torch.tensor([[0, 1, 0, 1, 0, 1]]))
    query = Batch(torch.randint(1, 9, (1, 5, 3)), torch.full((1, 5), 3))
    own = learner.build(sections.Gaussian(floor=0.5), made).double()
    (weights,) = own.trajectory(made, support, loss)
    reached = own.logits(made, query)(weights)[0].log_softmax(dim=1)
    features, others = (made(Batch(part.tokens[0], part.lengths[0])).embedding for part in (support, query))
    means = torch.stack([features[label::2].mean(dim=0) for label in (0, 1)])
    variance = (features - means.repeat(3, 1)).square().mean(dim=0) + 0.5
    densities = torch.distributions.Normal(means, variance.sqrt()).log_prob(others[:, None]).sum(dim=-1)
    torch.testing.assert_close(reached, densities.log_softmax(dim=1), rtol=0, atol=1e-12)
