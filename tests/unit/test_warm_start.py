"""What a run that starts from another model takes over from it."""

from pathlib import Path

import numpy as np
import pytest

from lstmcli import recipes
from lstmcli.errors import ConfigError
from lstmcli.inference import assemble
from lstmcli.storage import examples
from lstmcli.training import setup
from tests.conftest import SMALL

BAG = 16  # dimensions


def test_a_bag_of_words_that_a_run_adds_leaves_the_logits_as_they_were(table: Path, trained: Path) -> None:
    found = []
    for bag in (0, BAG):
        config = recipes.load(str(table), overrides=[*SMALL, f"model.init={trained}", f"model.bag_of_words={bag}"])
        begun = setup.prepare(config, examples.read(config), None)
        found.append(assemble.outputs(begun.parts, begun.texts["train"]))
        weight = begun.parts.model.get_parameter("head.weight")
    assert np.abs(found[0]).max() > 0.1
    np.testing.assert_allclose(found[1], found[0], rtol=1e-5, atol=1e-6)
    assert weight.shape[1] == features(trained) + BAG


def features(trained: Path) -> int:
    from lstmcli.storage import checkpoint as checkpoints

    return int(checkpoints.load(trained).group("model")["head.weight"].shape[1])


def test_a_bag_of_words_of_another_size_is_refused(table: Path, trained: Path, tmp_path: Path) -> None:
    from lstmcli.training import train

    config = recipes.load(
        str(table), overrides=[*SMALL, f"model.init={trained}", "model.bag_of_words=16", "train.epochs=1"]
    )
    train.run(config, examples.read(config), tmp_path)
    for other in (0, 32):
        again = recipes.load(str(table), overrides=[*SMALL, f"model.init={tmp_path}", f"model.bag_of_words={other}"])
        with pytest.raises(ConfigError, match="bag_of_words 16"):
            setup.prepare(again, examples.read(again), None)
