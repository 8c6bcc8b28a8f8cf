"""The command line as people use it: what is written where, exit codes, JSON, pipes."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from tests.conftest import BAD, GOOD, train_arguments, write_table

Run = Callable[..., int]
Captured = pytest.CaptureFixture[str]


def test_train_writes_the_run_and_says_what_comes_next(run: Run, table: Path, tmp_path: Path, capsys: Captured) -> None:
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
    assert "reviews" in capsys.readouterr().out
    assert run("train", "--json") == 0
    assert set(json.loads(capsys.readouterr().out)) >= {"imdb", "reviews", "table"}


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


def test_evaluate_prints_the_contract(run: Run, trained: Path, tmp_path: Path, capsys: Captured) -> None:
    data = write_table(tmp_path / "other.csv", copies=3)
    assert run("evaluate", "-c", trained, "--data", data, "--json", "--report", tmp_path / "report") == 0
    shown = capsys.readouterr()
    said = json.loads(shown.out)
    assert list(said) == ["task", "data", "split", "examples", "metrics", "baselines", "seconds", "checkpoint"]
    assert (said["task"], said["examples"]) == ("classify", 24)
    assert set(said["metrics"]) == {"accuracy", "balanced_accuracy", "macro_f1", "auc", "ece"}
    assert set(said["baselines"]) == {"majority", "linear"}
    for figure in said["metrics"].values():
        assert 0 <= figure["low"] <= figure["value"] <= figure["high"] <= 1 or figure is said["metrics"]["ece"]
    assert json.loads((tmp_path / "report" / "report.json").read_text()) == said
    rows = [json.loads(line) for line in (tmp_path / "report" / "predictions.jsonl").read_text().splitlines()]
    assert len(rows) == 24
    assert {"text", "target", "label", "probability", "probabilities"} == rows[0].keys()
    accuracy = sum(row["target"] == row["label"] for row in rows) / 24
    assert said["metrics"]["accuracy"]["value"] == pytest.approx(accuracy)


def test_evaluate_without_data_scores_what_was_held_out(run: Run, trained: Path, capsys: Captured) -> None:
    assert run("evaluate", "-c", trained, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["split"], said["examples"]) == ("validation", 4)
    assert run("evaluate", "-c", trained) == 0
    shown = capsys.readouterr()
    for part in ("accuracy", "majority", "linear", "95 % interval"):
        assert part in shown.out


def test_evaluate_says_when_a_baseline_is_better(run: Run, tmp_path: Path, capsys: Captured) -> None:
    table = write_table(tmp_path / "mine.csv", copies=20)
    assert run(*train_arguments(table, tmp_path / "run", "--epochs", "1", "--set", "train.lr=1e-6")) == 0
    capsys.readouterr()
    assert run("evaluate", "-c", tmp_path / "run" / "model.pt") == 0
    assert "below the linear baseline" in capsys.readouterr().err


def test_predict_from_arguments_files_and_pipes_says_the_same(
    run: Run, trained: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [GOOD[0], BAD[1], GOOD[2]]
    assert run("predict", "-c", trained, "--json", *texts) == 0
    expected = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [said["text"] for said in expected] == texts
    assert [said["label"] for said in expected] == ["good", "bad", "good"]
    for said in expected:
        assert list(said) == ["text", "label", "probability", "probabilities"]
        assert sum(said["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert said["probability"] == max(said["probabilities"].values())

    (tmp_path / "a.txt").write_text("\n".join(texts) + "\n")
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    (tmp_path / "a.csv").write_text("review\n" + "\n".join(texts) + "\n")
    for name, more in (("a.txt", []), ("a.jsonl", []), ("a.csv", ["--text-column", "review"])):
        assert run("predict", "-c", trained, "--json", "--input", tmp_path / name, *more) == 0
        assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == expected
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("\n".join(texts).encode())))
    assert run("predict", "-c", trained, "--json") == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == expected

    assert run("predict", "-c", trained, texts[0]) == 0
    label, probability, text = capsys.readouterr().out.rstrip("\n").split("\t")
    assert (label, text) == ("good", texts[0])
    assert float(probability) == pytest.approx(expected[0]["probability"], abs=1e-4)


def test_predict_writes_files_in_order(run: Run, trained: Path, tmp_path: Path, capsys: Captured) -> None:
    texts = [f"{(GOOD + BAD)[number % 8]} {number}" for number in range(300)]
    (tmp_path / "a.txt").write_text("\n".join(texts))
    read = {}
    for kind in ("jsonl", "csv", "parquet"):
        path = tmp_path / f"out.{kind}"
        assert run("predict", "-c", trained, "--input", tmp_path / "a.txt", "--output", path) == 0
        assert "300 texts" in capsys.readouterr().err
        if kind == "jsonl":
            read[kind] = [json.loads(line) for line in path.read_text().splitlines()]
        elif kind == "csv":
            read[kind] = list(csv.DictReader(io.StringIO(path.read_text(), newline="")))
        else:
            read[kind] = pq.read_table(path).to_pylist()
        assert [row["text"] for row in read[kind]] == texts
    labels = [[row["label"] for row in rows] for rows in read.values()]
    assert labels[0] == labels[1] == labels[2]
    assert list(read["csv"][0]) == ["text", "label", "probability", "probability_bad", "probability_good"]


def test_predict_tells_broken_rows_and_goes_on(run: Run, trained: Path, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "a.csv").write_bytes(b"text,label\nfine film,a\n,b\n\xff\xff,c\na warm film,d\n")
    assert run("predict", "-c", trained, "--json", "--input", tmp_path / "a.csv") == 0
    shown = capsys.readouterr()
    assert [json.loads(line)["text"] for line in shown.out.splitlines()] == ["fine film", "a warm film"]
    assert "a.csv:3: empty 'text'; skipped" in shown.err
    assert "a.csv:4: bytes that are not UTF-8; skipped" in shown.err
    assert "2 rows were skipped" in shown.err
    assert run("predict", "-c", trained, "--strict", "--input", tmp_path / "a.csv") == 2
    assert "a.csv:3" in capsys.readouterr().err


def test_predict_tells_what_it_could_not_read(run: Run, trained: Path, capsys: Captured) -> None:
    assert run("predict", "-c", trained, "🙂 \0", "warm " * 2_000_000) == 0
    shown = capsys.readouterr()
    assert "1 of 2 texts hold no word that the model knows" in shown.err
    assert "1 of 2 texts are longer than the model reads" in shown.err
    assert len(shown.out.splitlines()) == 2


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
    said = json.loads(capsys.readouterr().out)
    assert said["support"] == {"bad": 5, "good": 5}
    assert said["query"] == 30
    assert said["checkpoint"] == str(out)
    assert said["before"]["accuracy"]["value"] < 0.2
    assert said["after"]["accuracy"]["value"] > 0.8
    assert said["old"]["before"]["accuracy"]["value"] > said["old"]["after"]["accuracy"]["value"]
    assert run("predict", "-c", out, "--json", GOOD[0]) == 0
    assert json.loads(capsys.readouterr().out)["label"] == "bad"
    assert run("evaluate", "-c", out, "--data", swapped, "--json") == 0
    assert run("adapt", "-c", out, "--data", swapped, "--out", tmp_path / "twice.pt") == 0


def test_adapt_to_new_labels(run: Run, trained: Path, tmp_path: Path, capsys: Captured) -> None:
    data = tmp_path / "three.csv"
    rows = [
        f"{text} {number},{label}"
        for number in range(9)
        for text, label in ((GOOD[0], "joy"), (BAD[1], "gloom"), ("so so", "calm"))
    ]
    data.write_text("text,label\n" + "\n".join(rows) + "\n")
    assert run("adapt", "-c", trained, "--shots", "4", "--data", data, "--out", tmp_path / "a.pt", "--json") == 0
    shown = capsys.readouterr()
    said = json.loads(shown.out)
    assert said["labels"] == ["calm", "gloom", "joy"]
    assert said["after"]["accuracy"]["value"] > 0.6
    assert said["old"] == {}
    data.write_text(data.read_text().replace("joy", "good"))
    assert run("adapt", "-c", trained, "--shots", "4", "--data", data, "--out", tmp_path / "b.pt", "--json") == 0
    assert json.loads(capsys.readouterr().out)["labels"] == ["bad", "good", "calm", "gloom"]


def test_adapt_by_default_takes_a_domain_the_model_has_not_seen(
    run: Run, trained: Path, tmp_path: Path, capsys: Captured
) -> None:
    out = tmp_path / "adapted.pt"
    assert run("adapt", "-c", trained, "--shots", "50", "--out", out) == 0
    shown = capsys.readouterr()
    assert "reviews:hotels" in shown.out
    assert "has only 40 different texts, 50 were asked for" in shown.err
    assert "no examples are left to score" in shown.err


def test_quiet_says_nothing_on_stderr(run: Run, trained: Path, capsys: Captured) -> None:
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


def test_a_closed_pipe_is_no_fault(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(f"{GOOD[0]}\n" * 20_000)
    command = f"{sys.executable} -m lstmcli predict -q -c {trained} --input {tmp_path / 'a.txt'} | head -n 2"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert len(done.stdout.splitlines()) == 2
    assert "Traceback" not in done.stderr


def test_the_data_that_a_model_was_trained_on_is_known_again(
    run: Run, table: Path, tmp_path: Path, capsys: Captured
) -> None:
    assert run(*train_arguments(table, tmp_path / "run")) == 0
    model = tmp_path / "run" / "model.pt"
    said = []
    for arguments in ([], ["--data", table], ["--seed", "5"], ["--split", "validation"]):
        capsys.readouterr()
        assert run("evaluate", "-c", model, "--json", *arguments) == 0
        said.append(json.loads(capsys.readouterr().out))
    assert {
        (one["split"], one["examples"], one["metrics"]["accuracy"]["value"], one["metrics"]["ece"]["value"])
        for one in said
    } == {("validation", 4, said[0]["metrics"]["accuracy"]["value"], said[0]["metrics"]["ece"]["value"])}
    assert run("evaluate", "-c", model, "--split", "train") == 0
    assert "has learned from these texts" in capsys.readouterr().err


def test_what_adapt_was_told_for_once_is_not_kept(run: Run, trained: Path, tmp_path: Path, capsys: Captured) -> None:
    other = tmp_path / "other.csv"
    other.write_text(
        "review,mood\n"
        + "".join(f"{text} {n},{mood}\n" for n in range(5) for text, mood in ((GOOD[0], "good"), (BAD[0], "bad")))
    )
    out = tmp_path / "adapted.pt"
    columns = ["--text-column", "review", "--label-column", "mood"]
    assert (
        run(
            "adapt",
            "-c",
            trained,
            "--shots",
            "2",
            "--data",
            other,
            "--out",
            out,
            "--threads",
            "1",
            "--seed",
            "9",
            *columns,
        )
        == 0
    )
    assert run("evaluate", "-c", out, "--json") == 0  # on the old data, as it was
    capsys.readouterr()


def test_labels_and_paths_with_brackets_are_shown_as_they_are(run: Run, tmp_path: Path, capsys: Captured) -> None:
    table = tmp_path / "mine[old].csv"
    table.write_text(write_table(tmp_path / "t.csv").read_text().replace(",good", ",[/pos]").replace(",bad", ",[neg]"))
    assert run(*train_arguments(table, tmp_path / "[run]")) == 0
    assert "[neg]" in capsys.readouterr().err
    assert run("evaluate", "-c", tmp_path / "[run]") == 0
    assert "mine[old].csv" in "".join(capsys.readouterr().out.split("\n"))


def test_bad_rows_are_told_when_scoring_too(run: Run, tmp_path: Path, capsys: Captured) -> None:
    table = write_table(tmp_path / "mine.csv")
    assert run(*train_arguments(table, tmp_path / "run", "--set", "data.bad_rows=skip")) == 0
    other = tmp_path / "other.csv"
    other.write_text("text,label\nfine film,good\n,bad\ncold film,bad\n")
    assert run("evaluate", "-c", tmp_path / "run", "--data", other) == 2
    assert "other.csv:3" in capsys.readouterr().err


def test_a_domain_that_is_not_there_is_told(run: Run, trained: Path, capsys: Captured) -> None:
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


def test_a_pipe_is_answered_line_by_line(trained: Path) -> None:
    command = [sys.executable, "-m", "lstmcli", "predict", "-q", "-c", str(trained)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for text, label in ((GOOD[0], "good"), (BAD[1], "bad")):
            process.stdin.write(f"{text}\n")
            process.stdin.flush()
            assert process.stdout.readline().startswith(label)  # while the pipe is open
        process.stdin.close()
        assert process.wait(timeout=30) == 0


def test_ctrl_c_keeps_the_predictions_that_are_finished(trained: Path, tmp_path: Path) -> None:
    import signal
    import time

    (tmp_path / "a.txt").write_text(f"{GOOD[0]}\n" * 2_000_000)
    command = [
        sys.executable,
        "-m",
        "lstmcli",
        "predict",
        "-c",
        str(trained),
        "-i",
        str(tmp_path / "a.txt"),
        "-o",
        str(tmp_path / "out.csv"),
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for _ in range(600):
        partial = list(tmp_path.glob(".out.csv.*"))
        if partial and partial[0].stat().st_size > 100_000:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "what was finished is in" in told
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text(), newline="")))
    assert 100 < len(rows) < 2_000_000
    assert rows[-1]["text"] == GOOD[0]
