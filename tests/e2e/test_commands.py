"""The command line as people use it: what is written where, exit codes, JSON, pipes."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from lstmcli.errors import ConfigError
from lstmcli.machine import malloc
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage import examples
from tests.conftest import BAD, GOOD, SMALL, train_arguments, write_table

Run = Callable[..., int]
Captured = pytest.CaptureFixture[str]


def test_train_writes_the_run_and_shows_the_next_commands(
    run: Run, table: Path, tmp_path: Path, capsys: Captured
) -> None:
    out = tmp_path / "run"
    assert run(*train_arguments(table, out)) == 0
    shown = capsys.readouterr()
    assert sorted(path.name for path in out.iterdir()) == ["config.yaml", "last.pt", "metrics.jsonl", "model.pt"]
    assert "validation accuracy" in shown.out
    assert "lstmcli evaluate" in shown.err
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [line.get("epoch") for line in lines] == [1, 2, 3, None]
    assert lines[-1].keys() == {"temperature", "ece_before", "ece_after"}
    recipe = yaml.safe_load((out / "config.yaml").read_text())
    assert recipe["model"]["hidden"] == 8
    assert run("train", out / "config.yaml", "--out", tmp_path / "again", "-q") == 0  # a recipe as any other
    assert (out / "model.pt").read_bytes() == (tmp_path / "again" / "model.pt").read_bytes()


def test_train_alone_lists_the_recipes(run: Run, capsys: Captured) -> None:
    assert run("train") == 0
    shown = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert run("train", "--json") == 0
    recipes = json.loads(capsys.readouterr().out)
    assert recipes.keys() >= {"imdb", "reviews", "table"}
    headings = ["your own data", "sentiment", "entities", "language models", "few-shot", "optimiser benchmark"]
    assert [line for line in shown[1:] if not line.startswith(" ")] == headings
    listed = [line.strip() for line in shown[1:] if line not in headings]
    for line, (name, what) in zip(listed, recipes.items(), strict=True):  # a line each, as wide as a terminal
        assert line.startswith(f"{name} ")
        assert line.endswith(what)
        assert len(line) < 80
    assert next(line for line in listed if line.startswith("imdb-lm ")).split()[1:3] == ["85", "min"]


def test_the_keys_of_recipes_are_listed(run: Run, capsys: Captured) -> None:
    assert run("train", "--fields", "tokens", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["key"] for row in rows] == ["kind", "size", "min_count", "lowercase", "extend", "max_tokens", "head"]
    assert rows[1] == {
        "section": "tokens", "kind": "", "key": "size", "type": "int", "default": "30_000",
        "limits": ">= 10, <= 1_000_000", "meaning": "Maximum size of the vocabulary.",
    }  # fmt: skip
    assert run("train", "--fields", "tokens") == 0
    shown = capsys.readouterr().out
    assert all(row["key"] in shown and row["default"] in shown for row in rows)
    assert run("train", "--fields", "tokns") == 2
    assert "did you mean 'tokens'" in capsys.readouterr().err


def test_a_learner_is_chosen_by_name(run: Run, capsys: Captured) -> None:
    arguments = ["--set", "episodes={queries: 1, count: 8, batch: 8, validation: 4}", "--set", "learner.l2=0.5",
                 "--set", "model={embedding: 4, hidden: 4}", "--threads", "1", "--dry-run", "--json"]  # fmt: skip
    assert run("train", "reviews", "--learner", "ridge", *arguments) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["recipe"]["learner"] == {"name": "ridge", "l2": 0.5, "logit_scale": 10.0}
    assert plan["steps"] == 15  # as many epochs, of one meta-batch each
    assert run("train", "banking77-ridge") == 2
    assert "now: lstmcli train banking77-maml --learner ridge" in capsys.readouterr().err


def test_a_dry_run_writes_nothing(run: Run, table: Path, tmp_path: Path, capsys: Captured) -> None:
    assert run(*train_arguments(table, tmp_path / "run", "--dry-run")) == 0
    shown = capsys.readouterr()
    assert yaml.safe_load(shown.out)["model"]["hidden"] == 8
    assert "about" in shown.err
    assert not (tmp_path / "run").exists()


def test_options_reach_the_recipe(run: Run, table: Path, tmp_path: Path, capsys: Captured) -> None:
    arguments = train_arguments(
        table, tmp_path / "run", "--dry-run", "--json", "--limit", "20", "--seed", "3", "--no-cache"
    )
    assert run(*arguments) == 0
    recipe = json.loads(capsys.readouterr().out.splitlines()[0])["recipe"]
    assert (recipe["data"]["limit"], recipe["seed"], recipe["data"]["cache"], recipe["train"]["epochs"]) == (
        20,
        3,
        False,
        3,
    )


def test_memory_is_shared_before_a_thread_can_take_a_piece_of_its_own(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[object] = []

    def read(_: object, *, listener: object) -> None:
        calls.append("read")
        raise ConfigError("that is enough")

    monkeypatch.setattr(malloc, "keep", lambda *, shared: calls.append(shared))
    monkeypatch.setattr(examples, "read", read)
    for hidden, shared in ((8, False), (2048, True)):
        calls.clear()
        assert run("train", "reviews", "--set", f"model.hidden={hidden}", "--out", tmp_path / "run") == 2
        assert calls == [shared, "read"]


def test_evaluate_prints_the_contract(run: Run, trained: Path, tmp_path: Path, capsys: Captured) -> None:
    data = write_table(tmp_path / "other.csv", copies=3)
    assert run("evaluate", "-c", trained, "--data", data, "--json", "--report", tmp_path / "report") == 0
    shown = capsys.readouterr()
    report = json.loads(shown.out)
    assert list(report) == ["task", "data", "split", "examples", "metrics", "baselines", "seconds", "checkpoint"]
    assert (report["task"], report["examples"]) == ("classify", 24)
    assert set(report["metrics"]) == {"accuracy", "balanced_accuracy", "macro_f1", "auc", "ece"}
    assert set(report["baselines"]) == {"majority", "linear"}
    for figure in report["metrics"].values():
        assert 0 <= figure["low"] <= figure["value"] <= figure["high"] <= 1 or figure is report["metrics"]["ece"]
    assert json.loads((tmp_path / "report" / "report.json").read_text()) == report
    rows = [json.loads(line) for line in (tmp_path / "report" / "predictions.jsonl").read_text().splitlines()]
    assert len(rows) == 24
    assert {"text", "target", "label", "probability", "probabilities"} == rows[0].keys()
    accuracy = sum(row["target"] == row["label"] for row in rows) / 24
    assert report["metrics"]["accuracy"]["value"] == pytest.approx(accuracy)


def test_evaluate_without_data_scores_what_was_held_out(run: Run, trained: Path, capsys: Captured) -> None:
    assert run("evaluate", "-c", trained, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["split"], report["examples"]) == ("validation", 4)
    assert run("evaluate", "-c", trained) == 0
    shown = capsys.readouterr()
    for part in ("accuracy", "majority", "linear", "95 % interval"):
        assert part in shown.out


def test_evaluate_reports_when_a_baseline_is_better(run: Run, tmp_path: Path, capsys: Captured) -> None:
    table = write_table(tmp_path / "mine.csv", copies=20)
    assert run(*train_arguments(table, tmp_path / "run", "--epochs", "1", "--set", "train.lr=1e-6")) == 0
    capsys.readouterr()
    assert run("evaluate", "-c", tmp_path / "run" / "model.pt") == 0
    assert "not better than the linear baseline" in capsys.readouterr().err


def test_adapt_learns_the_new_domain_and_its_checkpoint_is_taken_everywhere(
    run: Run, trained: Path, tmp_path: Path, capsys: Captured
) -> None:
    swapped = tmp_path / "swapped.csv"  # a domain in which the words mean the opposite
    swapped.write_text(
        write_table(tmp_path / "t.csv")
        .read_text()
        .replace(",good", ",x")
        .replace(",bad", ",good")
        .replace(",x", ",bad")
    )
    out = tmp_path / "adapted.pt"
    assert run("adapt", "-c", trained, "--shots", "5", "--data", swapped, "--out", out, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["support"] == {"bad": 5, "good": 5}
    assert report["query"] == 30
    assert report["checkpoint"] == str(out)
    assert report["before"]["accuracy"]["value"] < 0.2
    assert report["after"]["accuracy"]["value"] > 0.8
    assert report["old"]["before"]["accuracy"]["value"] > report["old"]["after"]["accuracy"]["value"]
    assert run("predict", "-c", out, "--json", GOOD[0]) == 0
    assert json.loads(capsys.readouterr().out)["label"] == "bad"
    capsys.readouterr()
    assert run("evaluate", "-c", out, "--data", swapped) == 0
    assert "has learned from" in capsys.readouterr().err  # what it was trained on is still known
    assert run("adapt", "-c", out, "--data", swapped, "--out", tmp_path / "twice.pt") == 0
    assert "be written over" not in capsys.readouterr().err
    assert run("adapt", "-c", out, "--data", swapped, "--out", tmp_path / "twice.pt") == 0
    assert "twice.pt will be written over" in capsys.readouterr().err


def test_adapt_to_new_labels(run: Run, trained: Path, tmp_path: Path, capsys: Captured) -> None:
    data = tmp_path / "three.csv"
    rows = [
        f"{text} {number},{label}"
        for number in range(90, 99)  # texts that the model has not seen
        for text, label in ((GOOD[0], "joy"), (BAD[1], "gloom"), ("so so", "calm"))
    ]
    data.write_text("text,label\n" + "\n".join(rows) + "\n")
    assert run("adapt", "-c", trained, "--shots", "4", "--data", data, "--out", tmp_path / "a.pt", "--json") == 0
    shown = capsys.readouterr()
    report = json.loads(shown.out)
    assert report["labels"] == ["calm", "gloom", "joy"]
    assert report["after"]["accuracy"]["value"] > 0.6
    assert report["old"] == {}
    assert report["baselines"]["centroid"]["accuracy"]["value"] > 0.6
    assert "logistic regression (--learner anchored)" in shown.err
    kept = checkpoints.load(tmp_path / "a.pt")
    assert kept.config.learner.name == "finetune"  # what the next adaptation begins with
    assert kept.temperature == 1  # the head itself is calibrated; the model's temperature was that of another
    assert run("evaluate", "-c", tmp_path / "a.pt", "--data", data) == 0
    assert "has learned from 12 of 27 texts" in capsys.readouterr().err
    data.write_text(data.read_text().replace("joy", "good"))
    assert run("adapt", "-c", trained, "--shots", "4", "--data", data, "--out", tmp_path / "b.pt", "--json") == 0
    assert json.loads(capsys.readouterr().out)["labels"] == ["bad", "good", "calm", "gloom"]


TOPICS = {"rain": "rain wind cloud storm", "bread": "flour oven dough crust", "coins": "bank loan rent debt"}


def topics(path: Path, words: str = "{} {}") -> Path:
    """Texts of words that tell their label, and that the model knows, none of which is in it twice."""
    rows = [
        f"{words.format(first, second)},{label}"
        for label, topic in TOPICS.items()
        for first, second in itertools.permutations(topic.split(), 2)
    ]
    path.write_text("text,label\n" + "\n".join(rows) + "\n")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("learner", [[], ["--learner", "finetune"], ["--learner", "prototypical"]])
def test_new_labels_are_distinguished_by_words_unknown_to_the_model(
    run: Run, tmp_path: Path, learner: list[str], capsys: Captured
) -> None:
    known = tmp_path / "known.csv"  # every word as often under either label
    known.write_text("text,label\n" + "".join(
        f"{' '.join(TOPICS.values())} {number},{'ab'[number % 2]}\n" for number in range(20)))  # fmt: skip
    sets = [part for override in SMALL for part in ("--set", override)]
    assert run("train", known, *sets, "--epochs", "1", "--out", "runs/known") == 0
    data = topics(tmp_path / "topics.csv")
    capsys.readouterr()
    assert run("adapt", "-c", "runs/known", "--shots", "4", "--data", data, *learner, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["after"]["accuracy"]["value"] == 1.0
    assert run("evaluate", "-c", "runs/known/adapted.pt", "--data", data, "--json") == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["accuracy"]["value"] == 1.0
    many = ["--shots", "4", "--ways", "3", "--episodes", "3", "--data", data, *learner, "--json"]
    assert run("evaluate", "-c", "runs/known", *many) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["metrics"]["accuracy"]["value"] == 1.0
    assert report["steps"] == (100 if "finetune" in learner else None)


def test_a_model_below_a_baseline_is_reported_after_adaptation(
    run: Run, trained: Path, tmp_path: Path, capsys: Captured
) -> None:
    data = topics(tmp_path / "topics.csv")  # of words that the model does not know, under labels that it does
    rows = [row for row in data.read_text().splitlines() if not row.endswith("rain")]
    data.write_text("\n".join(rows).replace(",bread", ",good").replace(",coins", ",bad"))
    assert run("adapt", "-c", trained, "--shots", "4", "--data", data, "--out", tmp_path / "a.pt") == 0
    shown = capsys.readouterr()
    assert "not better than the centroid baseline" in shown.err
    assert "centroid" in shown.out


@pytest.mark.slow
def test_a_head_of_new_labels_takes_a_step_without_a_lower_loss(
    run: Run, trained: Path, tmp_path: Path, capsys: Captured
) -> None:
    data = tmp_path / "odd.csv"
    texts = {"odd": ("warm film", "cold tale"), "even": ("cold film", "warm tale")}  # what is left out speaks against
    data.write_text("text,label\n" + "".join(f"{text},{label}\n" for label, two in texts.items() for text in two))
    for seed in range(4):
        arguments = ["--data", data, "--shots", "2", "--out", tmp_path / "a.pt", "--seed", seed, "--json"]
        assert run("adapt", "-c", trained, "--learner", "finetune", *arguments) == 0
        shown = capsys.readouterr()
        assert json.loads(shown.out)["steps"] >= 1
        assert "stays as it was" not in shown.err
        assert checkpoints.load(tmp_path / "a.pt").group("model")["head.weight"].any()


def test_a_run_elsewhere_is_named_in_what_comes_next(run: Run, table: Path, tmp_path: Path, capsys: Captured) -> None:
    assert run(*train_arguments(table, tmp_path / "my run")) == 0
    assert f"lstmcli evaluate -c '{tmp_path / 'my run'}'" in capsys.readouterr().err
    assert run(*train_arguments(table, Path("runs") / "mine")) == 0
    assert "next: lstmcli evaluate    lstmcli predict 'a text of yours'" in capsys.readouterr().err


def test_data_alone_is_trained_by_the_standard_recipe(run: Run, table: Path, capsys: Captured) -> None:
    sets = [part for override in SMALL for part in ("--set", override)]
    assert run("train", "--data", table, *sets, "--epochs", "1") == 0
    assert "runs/mine/model.pt" in capsys.readouterr().out


def test_adapt_by_default_takes_a_domain_the_model_has_not_seen(
    run: Run, trained: Path, tmp_path: Path, capsys: Captured
) -> None:
    out = tmp_path / "adapted.pt"
    assert run("adapt", "-c", trained, "--shots", "200", "--out", out) == 0
    shown = capsys.readouterr()
    assert "opinions:ipod" in shown.out
    assert "no --data: adapting to the bundled data opinions:ipod" in shown.err
    assert "has only 58 different texts, fewer than --shots 200" in shown.err
    assert "no examples are left to score" in shown.err


def test_quiet_writes_nothing_to_stderr(run: Run, trained: Path, capsys: Captured) -> None:
    assert run("evaluate", "-c", trained, "-q", "--json") == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("command", ["train", "evaluate", "adapt", "predict"])
def test_every_help_works(run: Run, command: str, capsys: Captured) -> None:
    assert run(command, "--help") == 0
    assert "Usage" in capsys.readouterr().out


def test_the_version(run: Run, capsys: Captured) -> None:
    import lstmcli

    assert run("--version") == 0
    assert lstmcli.__version__ in capsys.readouterr().out


def test_the_data_that_a_model_was_trained_on_is_known_again(
    run: Run, table: Path, tmp_path: Path, capsys: Captured
) -> None:
    assert run(*train_arguments(table, tmp_path / "run")) == 0
    model = tmp_path / "run" / "model.pt"
    reports = []
    for arguments in ([], ["--data", table], ["--seed", "5"], ["--split", "validation"]):
        capsys.readouterr()
        assert run("evaluate", "-c", model, "--json", *arguments) == 0
        reports.append(json.loads(capsys.readouterr().out))
    assert {
        (one["split"], one["examples"], one["metrics"]["accuracy"]["value"], one["metrics"]["ece"]["value"])
        for one in reports
    } == {("validation", 4, reports[0]["metrics"]["accuracy"]["value"], reports[0]["metrics"]["ece"]["value"])}
    assert run("evaluate", "-c", model, "--split", "train") == 0
    assert "has learned from 36 of 40 texts" in capsys.readouterr().err
    copy = tmp_path / "copy.csv"
    copy.write_text(table.read_text("utf-8") + "never seen,good\n", "utf-8")
    assert run("evaluate", "-c", model, "--data", copy) == 0
    assert "has learned from 36 of 41 texts" in capsys.readouterr().err
    assert run("evaluate", "-c", model, "--split", "validation") == 0
    message = capsys.readouterr().err
    assert "has learned" not in message
    assert "only 4 texts" in message


def test_a_run_that_ends_early_reports_it(run: Run, table: Path, tmp_path: Path, capsys: Captured) -> None:
    sets = ["--set", "train.patience=1", "--set", "train.lr=1e-9"]
    assert run(*train_arguments(table, tmp_path / "run", *sets, "--epochs", "9")) == 0
    assert "without a better one (train.patience)" in capsys.readouterr().err
    assert run(*train_arguments(table, tmp_path / "other")) == 0
    assert "train.patience" not in capsys.readouterr().err


def test_options_of_adapt_are_not_saved(run: Run, trained: Path, tmp_path: Path, capsys: Captured) -> None:
    other = tmp_path / "other.csv"
    other.write_text(
        "review,mood\n"
        + "".join(f"{text} {n},{mood}\n" for n in range(5) for text, mood in ((GOOD[0], "good"), (BAD[0], "bad")))
    )
    out = tmp_path / "adapted.pt"
    once = ["--data", other, "--text-column", "review", "--label-column", "mood", "--threads", "1", "--seed", "9"]
    once += ["--precision", "float32", "--device", "cpu"]
    assert run("adapt", "-c", trained, "--shots", "2", "--out", out, *once) == 0
    assert checkpoints.load(out).config == checkpoints.load(trained).config
    capsys.readouterr()
    assert run("evaluate", "-c", out, "--json") == 0  # on the old data, as it was
    report = json.loads(capsys.readouterr().out)
    assert (report["split"], report["examples"]) == ("validation", 4)


def test_labels_and_paths_with_brackets_are_shown_as_they_are(run: Run, tmp_path: Path, capsys: Captured) -> None:
    table = tmp_path / "mine[old].csv"
    table.write_text(write_table(tmp_path / "t.csv").read_text().replace(",good", ",[/pos]").replace(",bad", ",[neg]"))
    assert run(*train_arguments(table, tmp_path / "[run]")) == 0
    assert "[neg]" in capsys.readouterr().err
    assert run("evaluate", "-c", tmp_path / "[run]") == 0
    assert "mine[old].csv" in "".join(capsys.readouterr().out.split("\n"))


def test_bad_rows_are_reported_when_scoring_too(run: Run, tmp_path: Path, capsys: Captured) -> None:
    table = write_table(tmp_path / "mine.csv")
    assert run(*train_arguments(table, tmp_path / "run", "--set", "data.bad_rows=skip")) == 0
    other = tmp_path / "other.csv"
    other.write_text("text,label\nfine film,good\n,bad\ncold film,bad\n")
    assert run("evaluate", "-c", tmp_path / "run", "--data", other) == 2
    assert "other.csv:3" in capsys.readouterr().err


def test_an_unknown_domain_is_reported(run: Run, trained: Path, capsys: Captured) -> None:
    assert run("evaluate", "-c", trained, "--data", "reviews:hotel") == 2
    assert "did you mean 'hotels'" in capsys.readouterr().err


def test_the_models_own_layout_is_read_by_path(run: Run, tmp_path: Path, capsys: Captured) -> None:
    for split, label, name, text in [
        (s, k, f"{n}_1", t)
        for s in ("train", "test")
        for n in range(10)
        for k, t in (("pos", GOOD[n % 4]), ("neg", BAD[n % 4]))
    ]:
        path = tmp_path / "aclImdb" / split / label / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text} {name}")
    folder = tmp_path / "aclImdb"
    assert (
        run(*train_arguments(folder, tmp_path / "run", "--set", "model.vectors=none", "--set", "data.validation=0.3"))
        == 0
    )
    (tmp_path / "moved").mkdir()
    folder.rename(tmp_path / "moved" / "aclImdb")
    capsys.readouterr()
    assert run("evaluate", "-c", tmp_path / "run", "--data", tmp_path / "moved" / "aclImdb", "--json") == 0
    assert json.loads(capsys.readouterr().out)["split"] == "test"
