"""What adaptation says of an episode's query, against one task, one text at a time."""

import numpy as np
import pytest
import torch
from torch.func import functional_call

from lstmcli.config import Classifier, Episodes, Maml, RunConfig, Tokens
from lstmcli.data.batches import batching, episodes
from lstmcli.data.batches.encoded import encode
from lstmcli.data.text.vocabulary import Vocabulary
from lstmcli.inference import assemble
from lstmcli.inference import episodes as course
from lstmcli.machine import runtime
from lstmcli.types import Example

WORDS = {"good": ["fine", "warm", "kind", "bright"], "bad": ["dull", "cold", "loud", "grey"]}
EXAMPLES = [
    Example(f"{word} {other} " + "and so on " * (number % 3), label, domain)
    for domain in "ab"
    for label, words in WORDS.items()
    for number, word in enumerate(words)
    for other in ("film", "book", "phone")
]


@pytest.mark.parametrize("moves", ["head", "lstm+head"])
def test_the_logits_are_those_of_each_text_at_its_tasks_weights(moves: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(course, "EVALUATION_TOKENS", 40)  # a few texts at a time
    config = RunConfig(
        tokens=Tokens(min_count=1),
        model=Classifier(embedding=5, hidden=4),
        learner=Maml(adapted_parameters=moves, steps=2, lr=0.5),
    )
    torch.manual_seed(0)
    vocabulary = Vocabulary.build([str(e.text) for e in EXAMPLES], WORDS, config.tokens)
    parts = assemble.fresh(config, vocabulary, runtime.Runtime("cpu", torch.float32))
    store = encode(vocabulary, EXAMPLES, cache=None)
    pools = episodes.pools(EXAMPLES)
    shapes = [Episodes(shots=2, queries=queries) for queries in (3, 3, 5, 3)]  # of two shapes, not in their order
    drawn = [next(episodes.draws(pools, shape, count=1, seed=(number,))) for number, shape in enumerate(shapes)]
    actual = course.outputs(parts, store, drawn, 2, "scoring")
    assert [len(each) for each in actual] == [6, 6, 10, 6]
    parts.model.eval()
    for one, logits_of_query in zip(drawn, actual, strict=True):
        episode = episodes.collate(store, [one])
        *_, weights = parts.learner.trajectory(parts.model, episode.support, parts.task.loss)
        own = {name: value[0].detach() for name, value in weights.items()}
        for index, logits in zip(one.query, logits_of_query, strict=True):
            alone = functional_call(parts.model, own, (batching.collate(store, np.array([index])),)).logits[0]
            np.testing.assert_allclose(logits, alone.detach().numpy(), atol=1e-5)
