"""Small files of finished models: what eight bits per weight lose."""

from pathlib import Path

import numpy as np
import pytest

from lstmcli import load
from lstmcli.config import Classifier, RunConfig, Tokens
from lstmcli.data.text.vocabulary import Vocabulary
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage import compact, weights
from lstmcli.storage.checkpoint import Checkpoint

torch = pytest.importorskip("torch")


def test_a_weight_is_off_by_at_most_half_a_step_of_its_row(tmp_path: Path) -> None:
    texts = ["a warm warm film", "a warm day", "a cold night"]
    vocabulary = Vocabulary.build(texts, ("bad", "good"), Tokens(min_count=1))
    rows = torch.randn(len(vocabulary), 50, generator=torch.Generator().manual_seed(0))
    rows[0] = 0
    rows *= torch.logspace(-3, 3, len(rows))[:, None]  # each row has a scale of its own
    config = RunConfig(model=Classifier(embedding=50, hidden=2))
    model = weights.build(config, vocabulary, None)
    head = model.get_parameter("head.weight").detach()
    whole = Checkpoint(
        config, vocabulary, checkpoints.grouped("model", model.state_dict() | {"embedding.weight": rows})
    )
    small = compact.compacted(whole, words=4)
    assert small.tensors["model/embedding.weight"].dtype is torch.int8
    checkpoints.save(small, tmp_path / "small.pt")
    read = checkpoints.load(tmp_path / "small.pt")
    assert read.tensors.keys() == whole.tensors.keys()
    found, kept = read.tensors["model/embedding.weight"], rows[:4]
    step = kept.abs().amax(dim=1, keepdim=True) / 127
    assert ((found - kept).abs() <= 0.501 * step).all()  # half a step, and the scale's rounding
    assert (found[0] == 0).all()
    assert read.vocabulary.words == vocabulary.words[:4]
    torch.testing.assert_close(read.tensors["model/head.weight"].float(), head, rtol=1e-3, atol=1e-7)


def test_words_that_are_left_out_read_like_the_unknown_word(trained: Path, tmp_path: Path) -> None:
    whole = checkpoints.load(trained)
    names = ("warm", "cold")
    checkpoints.save(compact.compacted(whole, without=names), tmp_path / "small.pt")
    small = load(tmp_path / "small.pt", threads=1)
    assert not {*names} & {*checkpoints.load(tmp_path / "small.pt").vocabulary.words}
    one, other, none = small.predict_proba(["a warm film", "a cold film", "a zzzz film"])
    assert one.tolist() == other.tolist() == none.tolist()
    before = load(trained, threads=1).predict_proba(["a warm film", "a cold film"])
    assert before[0].tolist() != before[1].tolist()
    kept = "it was a film"
    assert np.abs(small.predict_proba([kept]) - load(trained, threads=1).predict_proba([kept])).max() < 0.01
