"""A new data set, model and learner, added as a contributor would: files of their own, a line in the registry each, and
a section in the config. No other file of the program knows them."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Union, get_args

import pytest
import torch
import yaml
from pydantic import Tag

from lstmcli import registry
from lstmcli.config import RunConfig, Section
from lstmcli.tasks.classify import loss
from lstmcli.types import Batch
from tests.conftest import BAD, GOOD
from tests.contract.extension import learner, model, sections

Run = Callable[..., int]
Captured = pytest.CaptureFixture[str]
HERE = "tests.contract.extension"


def widen(field: str, section: type[Section]) -> Any:
    """Add the section to those that the field may hold; returns what it held before."""
    info = RunConfig.model_fields[field]
    before = info.annotation
    name = section.model_fields["name"].default
    info.annotation = Union[(*get_args(before), Annotated[section, Tag(name)])]
    return before


@pytest.fixture
def extended(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The registry and the config with three entries more."""
    monkeypatch.setitem(registry.DATASETS, "stars", f"{HERE}.reader")
    monkeypatch.setitem(registry.MODELS, "cnn", f"{HERE}.model")
    monkeypatch.setitem(registry.LEARNERS, "gaussian", f"{HERE}.learner")
    before = {field: widen(field, section) for field, section in
              {"model": sections.Cnn, "learner": sections.Gaussian}.items()}  # fmt: skip
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


def recipe(folder: Path, data: Path, **more: Any) -> Path:
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
