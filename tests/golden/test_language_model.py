"""The language model, held against other ways to the same numbers."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lstmcli.config import LanguageModel
from lstmcli.data.text.vocabulary import END
from lstmcli.models import language_model
from lstmcli.models.context import Context
from lstmcli.models.language_model import build
from lstmcli.models.lstm import LSTM, read_each
from lstmcli.types import Batch

WORDS = 11


def batch_of(rows: list[list[int]]) -> Batch:
    """Rows of words, each to be predicted from those before it."""
    time = max(map(len, rows)) - 1
    tokens, targets = (
        torch.tensor([row[begin : len(row) - 1 + begin] + [0] * (time - len(row) + 1) for row in rows])
        for begin in (0, 1)
    )
    return Batch(tokens, torch.tensor([len(row) - 1 for row in rows]), targets)


def model_of(**settings: object) -> nn.Module:
    torch.manual_seed(0)
    config = LanguageModel(**{"embedding": 6, "hidden": 5, "dropout": 0.0, **settings})
    return build(config, words=WORDS, labels=0).double().eval()


def test_each_word_is_scored_from_those_before_it_by_an_lstm_and_a_softmax() -> None:
    model = model_of(layers=2)
    reference = nn.LSTM(6, 5, num_layers=2, batch_first=True).double()
    for layer in range(2):
        for name, value in model.readers[0][layer].named_parameters():
            getattr(reference, name.replace("_l0", f"_l{layer}")).data.copy_(value)
    batch = batch_of([[2, 5, 6, 7, 2], [2, 9, 10]])
    hidden, _ = reference(model.embedding(batch.tokens))
    logits = model.maps[0](hidden) @ model.embedding.weight.T + model.softmax.bias
    expected = -F.cross_entropy(logits.transpose(1, 2), batch.targets, reduction="none") * batch.mask
    torch.testing.assert_close(model(batch).log_probs[0], expected)


@pytest.mark.parametrize("settings", [{}, {"softmax": "adaptive"}, {"bidirectional": True, "layers": 2}])
def test_the_next_word_s_probabilities_are_those_of_each_word_in_its_place(settings: dict[str, object]) -> None:
    model = model_of(**settings)
    rows = [[2, 5, 6, 7], [2, 9]]
    probabilities = model.following(batch_of([[*row, 0] for row in rows])).exp()  # whatever the target
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(2, dtype=probabilities.dtype))
    for word in range(WORDS):
        logs = model(batch_of([[*row, word] for row in rows])).log_probs[0]
        torch.testing.assert_close(
            probabilities[:, word], torch.stack([logs[0, 3], logs[1, 1]]).exp().to(probabilities.dtype)
        )


def test_backwards_it_reads_what_follows_from_its_end() -> None:
    model = model_of(bidirectional=True)
    one_way = model_of()
    one_way.load_state_dict({name: dict(model.state_dict())[name.replace(".0.", ".1.", 1) if name.startswith(
        ("readers", "maps")) else name] for name in one_way.state_dict()})  # fmt: skip
    rows = [[2, 5, 6, 7, 2], [2, 9, 10]]
    backwards = one_way(batch_of([row[::-1] for row in rows])).log_probs[0]
    logs = model(batch_of(rows)).log_probs
    for row, words in enumerate(rows):
        count = len(words) - 1
        torch.testing.assert_close(logs[1, row, :count].flip(0), backwards[row, :count])
        assert not logs[:, row, count:].any()


def test_a_text_cut_in_two_scores_as_it_does_whole() -> None:
    model = model_of(layers=2)
    rows = torch.randint(3, WORDS, (3, 9)).tolist()
    whole = model(batch_of(rows)).log_probs[0]
    first = model(batch_of([row[:5] for row in rows]), model.begin(3))
    second = model(batch_of([row[4:] for row in rows]), first.state)
    torch.testing.assert_close(torch.cat((first.log_probs[0], second.log_probs[0]), dim=1), whole)


def test_contexts_are_the_hidden_states_of_both_directions_between_two_ends() -> None:
    model = model_of(bidirectional=True, layers=2)
    tokens, lengths = torch.tensor([[5, 6, 7, 8], [9, 10, 0, 0]]), torch.tensor([4, 2])
    found = model.contexts(Batch(tokens, lengths))
    assert found.shape == (3, 2, 4, 12)
    for row, length in enumerate(lengths.tolist()):
        embedded = model.embedding(torch.tensor([END, *tokens[row, :length], END]))
        for direction in range(2):
            inputs = embedded.flip(0) if direction else embedded
            for layer in range(3):
                width = inputs.shape[-1]
                own = found[layer, row, :length, 6 * direction : 6 * direction + width]
                torch.testing.assert_close(own.flip(0) if direction else own, inputs[1:-1])
                if layer < 2:
                    reader = nn.LSTM(width, 5).double()
                    reader.load_state_dict(model.readers[direction][layer].state_dict())
                    inputs = reader(inputs)[0]
        assert not found[:, row, length:].any()


def test_contexts_are_mixed_as_in_the_equation_and_the_language_model_is_not_changed() -> None:
    model = model_of(bidirectional=True, layers=2)
    batch = Batch(torch.tensor([[5, 6, 7, 8], [9, 10, 0, 0]]), torch.tensor([4, 2]))
    layers = model.contexts(batch).detach()
    own = list(model.named_parameters())
    context = Context(model).double()
    assert [(name, id(value)) for name, value in model.named_parameters()] == [(name, id(value)) for name, value in own]
    with torch.no_grad():
        context.mix.copy_(torch.tensor([0.3, -1.0, 2.0]))
        context.gain.fill_(1.7)
    powers = [math.exp(power) for power in (0.3, -1.0, 2.0)]
    expected = 1.7 * sum(power / sum(powers) * layer for power, layer in zip(powers, layers, strict=True))
    for training in (False, True):
        torch.testing.assert_close(context.train(training)(batch), expected)
    before = {name: value.clone() for name, value in context.model.state_dict().items()}
    optimizer = torch.optim.AdamW(context.parameters(), lr=0.1, weight_decay=0.5)
    context(batch).square().sum().backward()
    optimizer.step()
    assert [name for name, _ in context.named_parameters()] == ["mix", "gain"]
    assert not context.model.training
    assert before
    for name, value in context.model.state_dict().items():
        assert torch.equal(value, before[name])
        assert value.grad is None


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[Tensor], list[Tensor]]]:
    """What the LSTMs of a layer are given, and what they make of it, of each reading."""
    seen: list[tuple[list[Tensor], list[Tensor]]] = []

    def watched(lstms: list[LSTM], inputs: list[Tensor], *rest: Any) -> Any:
        results = read_each(lstms, inputs, *rest)
        seen.append((inputs, [hidden for hidden, _ in results]))
        return results

    monkeypatch.setattr(language_model, "read_each", watched)
    return seen


def test_ar_and_tar_are_those_of_the_paper(read: list[tuple[list[Tensor], list[Tensor]]]) -> None:
    batch = batch_of([[2, 5, 6, 7, 2], [2, 9, 10]])
    plain = model_of(bidirectional=True)
    costly = model_of(bidirectional=True, ar_weight=2.0, tar_weight=3.0)
    costly.load_state_dict(plain.state_dict())
    assert not costly(batch).penalty
    read.clear()
    plain(batch)
    ((_, states),) = read
    expected = []
    for hidden in states:
        kept = torch.cat((hidden[0, :4], hidden[1, :2]))
        changes = torch.cat((hidden[0, :4].diff(dim=0), hidden[1, :2].diff(dim=0)))
        expected.append(2 * kept.square().mean() + 3 * changes.square().mean())
    torch.testing.assert_close(costly.train()(batch).penalty, torch.stack(expected).mean())


def test_dropped_words_are_dropped_wherever_they_stand_and_only_as_inputs(
    read: list[tuple[list[Tensor], list[Tensor]]],
) -> None:
    model = model_of(embedding_dropout=0.5).train()
    batch = batch_of([[5, 6, 5, 6, 5], [6, 5, 6, 5, 6]])
    for _ in range(20):
        model(batch)
    zero = torch.stack([(inputs == 0).all(dim=-1) for (inputs,), _ in read])  # [draw, batch, time]
    for word in (5, 6):
        own = zero[:, batch.tokens == word]
        assert torch.equal(own.all(dim=1), own.any(dim=1))
        assert 0 < own.any(dim=1).sum() < 20
