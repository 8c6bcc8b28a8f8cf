"""The head when labels come and go."""

from pathlib import Path

import torch

from lstmcli.engine import checkpoint as checkpoints
from lstmcli.engine.assemble import with_labels


def test_known_labels_keep_their_weights_and_new_ones_begin_at_zero(trained: Path) -> None:
    origin = checkpoints.load(trained)
    assert origin.vocabulary.labels == ("bad", "good")
    old = origin.group("model")
    assert with_labels(origin, ["good", "bad"]) is origin

    both = with_labels(origin, ["good", "odd"])
    assert both.vocabulary.labels == ("bad", "good", "odd")
    new = both.group("model")
    torch.testing.assert_close(
        new["head.weight"], torch.cat([old["head.weight"], torch.zeros(1, old["head.weight"].shape[1])])
    )
    torch.testing.assert_close(new["head.bias"], torch.cat([old["head.bias"], torch.zeros(1)]))
    assert all(torch.equal(new[name], old[name]) for name in old if not name.startswith("head."))

    others = with_labels(origin, ["calm", "joy"])
    assert others.vocabulary.labels == ("calm", "joy")
    assert not others.group("model")["head.weight"].any()
    assert origin.vocabulary.labels == ("bad", "good")
