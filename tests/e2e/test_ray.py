"""The page's example of Ray Data labels as ``predict`` does. Needs ``ray[data]``, which is no dependency."""

import json
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

import lstmcli
from tests.conftest import ROOT

Run = Callable[..., int]


def example() -> str:
    page = (ROOT / "lstmcli" / "README.md").read_text("utf-8")
    (block,) = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "import ray" in block]
    return str(block)


@pytest.mark.slow
def test_ray_labels_as_predict_does(trained: Path, run: Run) -> None:
    pytest.importorskip("ray", reason="pip install 'ray[data]'")
    texts = [f"{'a warm and quiet' if number % 3 else 'dull loud and cold'} film {number}" for number in range(150)]
    Path("reviews").mkdir()
    for part in range(3):
        table = pyarrow.table({"text": texts[part::3], "number": list(range(part, 150, 3))})
        parquet.write_table(table, f"reviews/{part}.parquet")
    Path("model.pt").write_bytes(trained.read_bytes())
    code = f"import ray\nray.init(num_cpus=4, include_dashboard=False)\n{example()}"
    quiet = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    subprocess.run([sys.executable, "-c", code], env=os.environ | quiet, check=True, timeout=600)
    found = parquet.read_table("labelled").to_pylist()
    Path("texts.txt").write_text("\n".join(texts))
    assert run("predict", "-c", trained, "--input", "texts.txt", "--output", "answers.jsonl") == 0
    answers = [json.loads(line)["label"] for line in Path("answers.jsonl").read_text().splitlines()]
    assert {row["number"]: row["label"] for row in found} == dict(enumerate(answers))
    assert set(answers) == {"good", "bad"}


def test_a_pickled_model_answers_the_same(trained: Path) -> None:
    model = lstmcli.load(trained)
    model.predict(["a warm film"])  # what a model has made for itself is not pickled
    content = pickle.dumps(model)
    assert len(content) < 1.1 * trained.stat().st_size
    texts = ["a warm and quiet film", "dull loud and cruel"]
    assert pickle.loads(content).predict_proba(texts).tolist() == model.predict_proba(texts).tolist()
