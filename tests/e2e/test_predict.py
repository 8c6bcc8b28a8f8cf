"""``predict`` as people use it: arguments, files, pipes, Ctrl-C."""

import csv
import io
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from lstmcli.storage import text_io as engine_texts
from tests.conftest import BAD, GOOD

Run = Callable[..., int]
Captured = pytest.CaptureFixture[str]


def test_predictions_from_arguments_files_and_pipes_are_the_same(
    run: Run, trained: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [GOOD[0], BAD[1], GOOD[2]]
    assert run("predict", "-c", trained, "--json", *texts) == 0
    expected = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["text"] for answer in expected] == texts
    assert [answer["label"] for answer in expected] == ["good", "bad", "good"]
    for answer in expected:
        assert list(answer) == ["row", "text", "label", "probability", "probabilities"]
        assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert answer["probability"] == max(answer["probabilities"].values())

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
    columns = ["row", "text", "label", "probability", "probability_bad", "probability_good", "problem"]
    assert list(read["csv"][0]) == list(read["parquet"][0]) == columns
    assert [row["row"] for row in read["parquet"]] == list(range(1, 301))


def test_predict_reports_broken_rows_and_goes_on(run: Run, trained: Path, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "a.csv").write_bytes(b"text,label\nfine film,a\n,b\n\xff\xff,c\na warm film,d\n")
    assert run("predict", "-c", trained, "--json", "--input", tmp_path / "a.csv", "--skip-bad") == 0
    shown = capsys.readouterr()
    assert [json.loads(line)["text"] for line in shown.out.splitlines()] == ["fine film", "a warm film"]
    assert "a.csv:3: empty 'text'" in shown.err
    assert "a.csv:4: bytes that are not UTF-8" in shown.err
    assert "each of 2 rows that cannot be used was skipped" in shown.err
    assert run("predict", "-c", trained, "--strict", "--input", tmp_path / "a.csv") == 2
    assert "a.csv:3" in capsys.readouterr().err


def test_predict_reports_what_it_could_not_read(run: Run, trained: Path, capsys: Captured) -> None:
    assert run("predict", "-c", trained, "🙂 \0", "warm " * 50_000) == 0
    shown = capsys.readouterr()
    assert "1 of 2 texts holds no word that the model knows" in shown.err
    assert "1 of 2 texts is longer than the model reads" in shown.err
    assert len(shown.out.splitlines()) == 2


@pytest.mark.slow
def test_a_closed_pipe_is_no_fault(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(f"{GOOD[0]}\n" * 5_000)  # more than a pipe holds
    command = f"{sys.executable} -m lstmcli predict -q -c {trained} --input {tmp_path / 'a.txt'} | head -n 2"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert len(done.stdout.splitlines()) == 2
    assert "Traceback" not in done.stderr


@pytest.mark.slow
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
        assert process.wait() == 0


def test_ctrl_c_keeps_the_predictions_that_are_finished(
    run: Run, trained: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows = engine_texts.Texts.windows

    def interrupted(self: engine_texts.Texts) -> Iterator[list[str]]:
        for number, window in enumerate(windows(self)):
            if number == 2:
                signal.raise_signal(signal.SIGINT)
            yield window

    monkeypatch.setattr(engine_texts, "WINDOW", 50)
    monkeypatch.setattr(engine_texts.Texts, "windows", interrupted)
    (tmp_path / "a.txt").write_text(f"{GOOD[0]}\n" * 200)
    assert run("predict", "-c", trained, "-i", tmp_path / "a.txt", "-o", tmp_path / "out.csv") == 130
    assert "what was finished is in" in capsys.readouterr().err
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text(), newline="")))
    assert [row["text"] for row in rows] == [GOOD[0]] * 100
