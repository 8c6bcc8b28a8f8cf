"""Learning to adapt as people use it: train on episodes, go on, evaluate over tasks, adapt to data of one's own."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lstmcli import recipes
from lstmcli.config import Episodes
from lstmcli.data.batches.encoded import built
from lstmcli.errors import DataError
from lstmcli.inference import assemble
from lstmcli.inference.few_shot import measured
from lstmcli.inference.few_shot import run as run_few_shot
from lstmcli.inference.few_shot_report import FewShotOptions
from lstmcli.machine import runtime
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage import compact
from lstmcli.storage import examples as inputs
from lstmcli.storage.checkpoint import Checkpoint, grouped
from tests.conftest import BAD, GOOD, LEARNERS, SMALL

pytestmark = pytest.mark.slow  # whole commands, one after the other

Run = Callable[..., int]
Captured = pytest.CaptureFixture[str]
LEARN = ["learner.name=maml", "learner.steps=2", "learner.rates=layer-step", "learner.adapted_parameters=lstm+head",
         "data.validation=0.4", "episodes.shots=2", "episodes.queries=2", "episodes.batch=3", "episodes.count=6",
         "episodes.validation=4"]  # fmt: skip


@pytest.fixture(scope="module")
def domains(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three domains, in one of which the words mean the opposite."""
    path = tmp_path_factory.mktemp("domains") / "mine.jsonl"
    rows = [
        {"text": f"{text} {number}", "label": label, "domain": domain}
        for domain in ("one", "two", "odd")
        for number in range(6)
        for texts, label in ((GOOD, "good"), (BAD, "bad" if domain != "odd" else "good"))
        for text in texts
        if domain != "odd" or texts is BAD or number % 2
    ]
    rows += [{"text": f"{text} {n} odd", "label": "bad", "domain": "odd"} for n in range(6) for text in GOOD]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def training(data: Path, out: Path, *more: str) -> list[str]:
    sets = [part for override in [*SMALL, *LEARN] for part in ("--set", override)]
    return ["train", str(data), *sets, "--epochs", "3", "--out", str(out), "-q", *more]


@pytest.fixture(scope="module")
def learned(domains: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from lstmcli.cli.app import main

    out = tmp_path_factory.mktemp("learned") / "run"
    with pytest.raises(SystemExit) as end:
        main(training(domains, out))
    assert not end.value.code
    return out / "model.pt"


def test_a_run_keeps_what_it_learned_beside_the_weights(learned: Path) -> None:
    kept = checkpoints.load(learned)
    rates = kept.group("learner")
    assert set(rates) == {f"rates.{name.replace('.', '/')}" for name in kept.group("model") if "embedding" not in name}
    assert all(value.shape == (2,) for value in rates.values())
    assert any((value != kept.config.learner.lr).any() for value in rates.values())
    assert kept.progress["shares"][""].keys() == {"good", "bad"}


def test_resumed_it_ends_with_the_same_bytes(
    run: Run, domains: Path, learned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lstmcli.training import train

    class Soon:  # asks to stop after the third step, within the second epoch
        def __init__(self) -> None:
            self.events = 0

        def __enter__(self) -> "Soon":
            return self

        def __exit__(self, *_: object) -> None: ...

        @property
        def requested(self) -> bool:
            self.events += 1
            return self.events == 5

        def end(self) -> BaseException:
            return KeyboardInterrupt()

    with monkeypatch.context() as patched:
        patched.setattr(train, "Stop", Soon)
        assert run(*training(domains, tmp_path / "run")) == 130
    assert not (tmp_path / "run" / "config.yaml").exists()
    assert run(*training(domains, tmp_path / "run", "--resume")) == 0
    one, other = (checkpoints.load(path / "model.pt") for path in (tmp_path / "run", learned.parent))
    assert one.tensors.keys() == other.tensors.keys()
    assert all(value.equal(other.tensors[name]) for name, value in one.tensors.items())
    assert (tmp_path / "run" / "model.pt").read_bytes() == learned.read_bytes()
    options = training(domains, tmp_path / "run", "--resume", "--set", "learner.lr=0.2")
    assert run(*options) == 2  # what episodes are learned by is part of the run


def test_a_run_begins_with_the_weights_and_words_of_another(
    run: Run, domains: Path, tmp_path: Path, capsys: Captured
) -> None:
    sets = [part for override in [*SMALL, "data.validation=0.4"] for part in ("--set", override)]
    assert run("train", domains, *sets, "--epochs", "1", "--out", tmp_path / "first", "-q") == 0
    first = tmp_path / "first" / "model.pt"
    begin = ["--set", f"model.init={first}", "--set", "train.lr=1e-12", "--set", "train.weight_decay=0"]
    assert run(*training(domains, tmp_path / "second", *begin)) == 0
    one, other = checkpoints.load(first), checkpoints.load(tmp_path / "second" / "model.pt")
    for name, value in one.group("model").items():
        assert value.allclose(other.group("model")[name], atol=1e-6)
    assert one.vocabulary.to_json() == other.vocabulary.to_json()
    capsys.readouterr()
    assert run(*training(domains, tmp_path / "third", *begin, "--set", "model.hidden=9")) == 2
    assert "--set model.hidden=8" in capsys.readouterr().err
    assert run(*training(domains, tmp_path / "third", "--set", "model.init=missing.pt")) == 2


@pytest.mark.parametrize(
    ("override", "message"),
    [("learner={name: finetune}", "nothing to learn from episodes"), ("train.crop=5", "no effect on episodes"),
     ("episodes.shots=500", "no domain has 500 + 2"), ("learner.name=mamml", "did you mean 'maml'"),
     ("learner.stepps=3", "did you mean 'steps'"), ("episodes.batch=0", "--set episodes.batch=0")],
)  # fmt: skip
def test_a_recipe_with_too_many_texts_per_episode_is_reported(
    run: Run, domains: Path, tmp_path: Path, capsys: Captured, override: str, message: str
) -> None:
    assert run(*training(domains, tmp_path / "run", "--set", override)) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_evaluate_over_tasks_prints_the_contract(run: Run, learned: Path, domains: Path, capsys: Captured) -> None:
    arguments = ["evaluate", "-c", learned, "--data", domains, "--shots", "2", "--episodes", "6", "--json"]
    assert run(*arguments) == 0
    report = json.loads(capsys.readouterr().out)
    assert {"task", "data", "split", "examples", "ways", "shots", "steps", "episodes", "prior", "metrics", "baselines",
            "gains", "tasks", "seconds", "checkpoint"} == report.keys()  # fmt: skip
    assert (report["ways"], report["shots"], report["episodes"], report["prior"]) == (2, 2, 6, "support")
    assert set(report["baselines"]) == {"finetune", "before", "majority", "linear", "centroid", "support linear"}
    for figures in (report["metrics"], *report["baselines"].values()):
        for figure in figures.values():
            assert 0 <= figure["low"] <= figure["value"] <= figure["high"] <= 1
    gain = report["gains"]["finetune"]["accuracy"]["value"]
    both = report["metrics"]["accuracy"]["value"] - report["baselines"]["finetune"]["accuracy"]["value"]
    assert gain == pytest.approx(both)
    assert run(*arguments) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["metrics"] == report["metrics"]
    assert run(*arguments[:-1]) == 0
    shown = capsys.readouterr().out
    assert "paired" in shown
    assert "2 texts per class to learn from in 2 steps" in shown
    assert run(*arguments, "--ways", "2", "--learner", "finetune") == 0
    drawn = json.loads(capsys.readouterr().out)
    assert set(drawn["baselines"]) == {"majority", "centroid", "support linear"}
    capsys.readouterr()
    for option, value in (("--ways", "2"), ("--learner", "maml"), ("--episodes", "5"), ("--prior", "source")):
        assert run("evaluate", "-c", learned, option, value) == 2
        assert option in capsys.readouterr().err


def test_the_model_alone_is_scored_on_the_same_episodes(learned: Path) -> None:
    kept = checkpoints.load(learned)
    name, examples = inputs.to_score(kept.config.data, None, kept.config)
    options = FewShotOptions("mine", name, Episodes(shots=2, queries=2), 4, "support", 0)
    whole, alone = (measured(kept, examples, [], options, alone=alone) for alone in (False, True))
    assert set(whole.figures) == {"model", "finetune", "before", "majority", "linear", "centroid", "support linear"}
    assert alone.figures == {"model": whole.figures["model"]}


def test_texts_that_a_model_was_trained_on_are_reported(
    run: Run, learned: Path, domains: Path, tmp_path: Path, capsys: Captured
) -> None:
    (tmp_path / "predictions.jsonl").write_text("of another evaluation")
    arguments = ["evaluate", "-c", learned, "--data", domains, "--shots", "2", "--episodes", "3", "--report", tmp_path]
    assert run(*arguments, "--ways", "9") == 2
    assert (tmp_path / "predictions.jsonl").exists()  # a mistake loses nothing
    assert run(*arguments) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.json"]
    assert "has learned from " in capsys.readouterr().err
    assert run("adapt", "-c", learned, "--data", domains, "--shots", "2", "--out", tmp_path / "a.pt") == 0
    assert "has learned from " in capsys.readouterr().err


def test_supports_that_the_data_fixes(learned: Path, domains: Path) -> None:
    kept = checkpoints.load(learned)
    _, examples = inputs.to_score(kept.config.data, "train", kept.config)
    one = [example for example in examples if example.domain == "one"]
    support = [next(example for example in one if example.target == label) for label in ("good", "bad")]
    rest = [example for example in one if example.text not in {shot.text for shot in support}]
    notes, options = [], FewShotOptions("mine", "test", Episodes(shots=5), 7, "support", 0)
    report = run_few_shot(
        kept, rest, support, options, Path("m.pt"), listener=lambda event: notes.append(getattr(event, "text", ""))
    )
    assert (report.shots, report.episodes) == (1, 1)
    assert [report.metrics["accuracy"][end] for end in ("low", "high")] == [0, 1]
    assert [report.gains["before"]["accuracy"][end] for end in ("low", "high")] == [-1, 1]
    message = "\n".join(notes)
    for part in ("have 1 text per class, fewer than --shots 5", "no --episodes", "span all possible values"):
        assert part in message
    draws_classes = FewShotOptions("mine", "test", Episodes(shots=2, queries=2, ways=2), 3, "support", 0)
    assert len(measured(kept, rest, support, draws_classes).drawn) == 3
    with pytest.raises(DataError, match="those that are learned from"):
        measured(kept, one, support, options)


def test_classes_by_number_have_no_shares_of_their_own(learned: Path) -> None:
    kept = checkpoints.load(learned)
    uneven = replace(kept, progress=kept.progress | {"shares": {"": {"good": 0.95, "bad": 0.05}}})
    plain = replace(uneven, config=kept.config.model_copy(update={"episodes": None}))
    name, examples = inputs.to_score(kept.config.data, "train", kept.config)
    options = FewShotOptions("mine", name, Episodes(shots=2, queries=2, ways=2), 3, "uniform", 0)
    assert (
        measured(plain, examples, [], options).figures["model"]
        == measured(replace(plain, progress={}), examples, [], options).figures["model"]
    )


def three_classes(path: Path, rows: list[tuple[str, str]] | None = None) -> Path:
    rows = rows or [(f"{text} {n}", label) for n in range(9)
                    for text, label in ((GOOD[0], "joy"), (BAD[1], "gloom"), ("so so", "calm"))]  # fmt: skip
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    return path


def test_a_model_that_learned_to_adapt_takes_new_classes_and_its_own_learner(
    run: Run, learned: Path, tmp_path: Path, capsys: Captured
) -> None:
    data, out = three_classes(tmp_path / "three.csv"), tmp_path / "adapted.pt"
    assert run("adapt", "-c", learned, "--shots", "4", "--data", data, "--out", out, "--steps", "2", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["labels"], report["steps"]) == (["calm", "gloom", "joy"], 2)
    kept = checkpoints.load(out)
    assert kept.config.learner.name == "maml"
    assert kept.group("learner").keys() == checkpoints.load(learned).group("learner").keys()
    moved = {name for name, value in kept.group("model").items()
             if value.shape != checkpoints.load(learned).group("model")[name].shape
             or not value.equal(checkpoints.load(learned).group("model")[name])}  # fmt: skip
    assert moved == {name for name in kept.group("model") if "embedding" not in name}
    for command in (["predict", "fine"], ["evaluate", "--data", data], ["adapt", "--data", data, "--shots", "2"]):
        assert run(command[0], "-c", out, *command[1:]) == 0


def test_the_number_of_steps_is_found_by_leaving_texts_out(
    run: Run, trained: Path, tmp_path: Path, capsys: Captured
) -> None:
    kind = [(f"{text} {n}", label) for n in range(9) for text, label in ((GOOD[0], "bad"), (BAD[1], "good"))]
    data = three_classes(tmp_path / "swapped.csv", kind)
    tuned = ["adapt", "-c", trained, "--data", data, "--learner", "finetune", "--out", tmp_path / "a.pt"]
    assert run(*tuned, "--json") == 0
    assert json.loads(capsys.readouterr().out)["steps"] > 80  # more helps
    assert run(*tuned, "--shots", "1") == 0
    assert "a class has only one text" in capsys.readouterr().err


def test_what_the_model_knows_already_leaves_it_as_it_is(
    run: Run, trained: Path, tmp_path: Path, capsys: Captured
) -> None:
    kind = [(f"{text} {n}", label) for n in range(30) for text, label in ((GOOD[0], "good"), (BAD[1], "bad"))]
    data, out = three_classes(tmp_path / "known.csv", kind), tmp_path / "a.pt"
    assert run("adapt", "-c", trained, "--data", data, "--shots", "1", "--out", out, "--json") == 0
    shown = capsys.readouterr()
    assert "the model is unchanged" in shown.err
    report = json.loads(shown.out)
    for name, figure in report["before"].items():  # the temperature has become a factor of the head
        assert report["after"][name]["value"] == pytest.approx(figure["value"], abs=1e-9)


def test_equally_many_texts_of_classes_that_are_not_equally_frequent_keep_the_model_s_priors(
    run: Run, trained: Path, tmp_path: Path, capsys: Captured
) -> None:
    rows = [(f"{GOOD[0]} {n}", "good") for n in range(60)] + [(f"{BAD[1]} {n}", "bad") for n in range(12)]
    for count, said in ((72, True), (24, False)):
        data = three_classes(tmp_path / f"{count}.csv", rows[-count:])
        assert run("adapt", "-c", trained, "--data", data, "--shots", "4", "--out", tmp_path / "a.pt") == 0
        assert ("the model's own class priors are kept" in capsys.readouterr().err) is said


@pytest.mark.parametrize(
    ("rows", "code", "message"),
    [
        ([(f"fine film {n}", "good") for n in range(9)], 2, "only one class: good"),
        ([("fine", "good"), ("", "bad"), ("dull", "bad"), ("dreary", "bad")], 0, "1 row skipped"),
        ([("fine", "good"), ("fine", "good"), ("dull", "bad"), ("dull", "bad")], 0, "2 texts that repeat one"),
        ([("fine", "good"), ("kind", "good"), ("dull", "bad")], 0, "class 'bad' has only 1 different text, fewer"),
    ],
)  # fmt: skip
def test_odd_examples_are_reported(
    run: Run, trained: Path, tmp_path: Path, capsys: Captured, rows: list[tuple[str, str]], code: int, message: str
) -> None:
    data = three_classes(tmp_path / "mine.csv", rows)
    assert run("adapt", "-c", trained, "--shots", "5", "--data", data, "--out", tmp_path / "a.pt") == code
    assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("command", "what"),
    [
        (["adapt", "--data", "reviews"], "the data has labels of whole texts, the model tags words"),
        (["evaluate", "--shots", "2", "--data", "reviews"], "the model labels words, not whole texts"),
        (["adapt", "--data", "entities", "--learner", "ridge"], "the learner needs a model that labels whole texts"),
        (["adapt", "--data", "entities", "--learner", "matching"], "the learner needs a model that labels whole texts"),
    ],
)
def test_a_model_of_another_task_is_reported(
    run: Run, tmp_path: Path, capsys: Captured, command: list[str], what: str
) -> None:
    config = recipes.load("entities", overrides=["model.hidden=4", "model.embedding=4"])
    examples = inputs.split(config.data, "train")
    vocabulary = built(examples, config.tokens, cache=None)
    parts = assemble.fresh(config, vocabulary, runtime.Runtime("cpu", torch.float32))
    tagging = tmp_path / "tagger.pt"
    checkpoints.save(Checkpoint(config, vocabulary, grouped("model", parts.model.state_dict())), tagging)
    assert run(*command, "-c", tagging) == 2
    assert what in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(LEARNERS))
def test_every_learner_adapts_and_every_command_takes_what_it_wrote(
    run: Run, trained: Path, tmp_path: Path, capsys: Captured, name: str
) -> None:
    data, out = three_classes(tmp_path / "three.csv"), tmp_path / "adapted.pt"
    adapt = ["adapt", "--shots", "4", "--data", data, "--learner", name]
    assert run(*adapt, "-c", trained, "--out", out, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["after"]["accuracy"]["value"] > 0.6  # by chance: a third
    assert run("evaluate", "-c", out, "--data", data, "--json") == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["accuracy"]["value"] > 0.6
    assert run("predict", "-c", out, f"{GOOD[0]} 7", f"{BAD[1]} 7", "--json") == 0
    answers = [json.loads(line)["label"] for line in capsys.readouterr().out.splitlines()]
    assert answers == ["joy", "gloom"]
    small = tmp_path / "small.pt"
    checkpoints.save(compact.compacted(checkpoints.load(out)), small)
    assert run("predict", "-c", small, f"{GOOD[0]} 7", f"{BAD[1]} 7", "--json") == 0
    assert [json.loads(line)["label"] for line in capsys.readouterr().out.splitlines()] == answers
    assert run(*adapt, "-c", out, "--out", tmp_path / "again.pt") == 0
    assert run("evaluate", "-c", out, "--data", data, "--shots", "2", "--episodes", "3", "--learner", name) == 0


@pytest.mark.parametrize("name", sorted(set(LEARNERS) - {"anchored", "finetune"}))
def test_every_learner_learns_from_episodes(run: Run, domains: Path, tmp_path: Path, name: str) -> None:
    few = ["learner.steps=2"] if name in ("lstm-optimizer", "maml", "meta-lstm", "reptile") else []
    sets = [part for override in [*SMALL, *LEARN[4:], f"learner.name={name}", *few] for part in ("--set", override)]
    out = tmp_path / "run"
    assert run("train", domains, *sets, "--epochs", "1", "--out", out, "-q") == 0
    arguments = ["-c", out, "--data", domains, "--shots", "2"]
    assert run("evaluate", *arguments, "--episodes", "4") == 0
    assert run("adapt", *arguments, "--out", tmp_path / "adapted.pt") == 0


@pytest.mark.parametrize("learner", ["{name: ridge}", "{name: maml, steps: 2}"])
def test_tasks_of_fewer_classes_than_it_was_trained_on(
    run: Run, domains: Path, tmp_path: Path, capsys: Captured, learner: str
) -> None:
    data = three_classes(tmp_path / "three.csv")
    out = tmp_path / "run"
    sets = [
        "--set",
        f"learner={learner}",
        "--set",
        "episodes.ways=3",
        "--set",
        "data.validation=0.5",
    ]
    assert run(*training(data, out), *sets) == 0
    capsys.readouterr()
    assert run("evaluate", "-c", out, "--data", data, "--shots", "2", "--ways", "2", "--episodes", "3", "--json") == 0
    assert json.loads(capsys.readouterr().out)["ways"] == 2
    fewer = ["--set", f"model.init={out / 'model.pt'}", "--set", "episodes.ways=2"]
    assert run(*training(data, tmp_path / "fewer"), *sets, *fewer) == 0
    assert len(checkpoints.load(tmp_path / "fewer" / "model.pt").group("model")["head.bias"]) == 2


def test_a_head_that_was_never_learned_is_not_used(run: Run, domains: Path, tmp_path: Path, capsys: Captured) -> None:
    out = tmp_path / "run"
    arguments = [one for one in training(domains, out, "--set", "learner={name: ridge}") if one != "-q"]
    assert run(*arguments) == 0
    assert "next: lstmcli evaluate --shots 5" in capsys.readouterr().err
    for command in (["predict", "fine"], ["evaluate"]):
        assert run(command[0], "-c", out, *command[1:]) == 2
        assert "no trained head" in capsys.readouterr().err
    assert run("evaluate", "-c", out, "--shots", "2", "--episodes", "3", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert "before" not in report["baselines"]
    assert "before" not in report["gains"]
    assert run("adapt", "-c", out, "--data", domains, "--shots", "2", "--out", tmp_path / "a.pt") == 0
    assert "before: by chance" in capsys.readouterr().err
    assert run("predict", "-c", tmp_path / "a.pt", "fine") == 0


def test_steps_that_lead_nowhere_are_not_taken(run: Run, trained: Path, tmp_path: Path, capsys: Captured) -> None:
    kept = checkpoints.load(trained)
    wild = tmp_path / "wild.pt"
    learner = kept.config.learner.model_copy(update={"lr": 90.0, "anchor": 10.0})
    checkpoints.save(replace(kept, config=kept.config.model_copy(update={"learner": learner})), wild)
    data, out = (
        three_classes(tmp_path / "two.csv", [(f"film {n}", "good" if n % 2 else "bad") for n in range(20)]),
        (tmp_path / "a.pt"),
    )
    assert run("adapt", "-c", wild, "--data", data, "--out", out, "--json") == 0
    assert json.loads(capsys.readouterr().out)["steps"] < 3
    out.unlink()
    assert run("adapt", "-c", wild, "--data", data, "--out", out, "--steps", "100") == 2
    assert "not numbers" in capsys.readouterr().err
    assert not out.exists()
    assert run("evaluate", "-c", wild, "--data", data, "--shots", "2", "--episodes", "2") == 2
    assert "not numbers" in capsys.readouterr().err


def test_a_learner_named_again_keeps_its_settings(run: Run, domains: Path, tmp_path: Path, capsys: Captured) -> None:
    sets = [part for override in [*SMALL, *LEARN[4:], "learner={name: matching, hidden: 5, processing_steps: 1}"]
            for part in ("--set", override)]  # fmt: skip
    assert run("train", domains, *sets, "--epochs", "1", "--out", tmp_path / "run", "-q") == 0
    arguments = ["evaluate", "-c", tmp_path / "run", "--data", domains, "--shots", "2", "--episodes", "4", "--json"]
    figures = []
    for more in ([], ["--learner", "matching"]):
        capsys.readouterr()
        assert run(*arguments, *more) == 0
        figures.append(json.loads(capsys.readouterr().out)["metrics"])
    assert figures[0] == figures[1]
