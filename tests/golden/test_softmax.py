"""The softmaxes of a language model, held against each other."""

import math

import pytest
import torch

from lstmcli.models.softmax import AdaptiveSoftmax, TiedSoftmax


def test_a_drawn_softmax_tends_to_the_full_one() -> None:
    torch.manual_seed(0)
    words, rows = 60, 8
    vectors, features = torch.randn(words, 5), torch.randn(2, rows, 5, requires_grad=True)
    targets = torch.randint(3, words, (2, rows))
    full = TiedSoftmax(words, 0)
    full.bias.data.normal_()
    likely = (features @ vectors.T + full.bias).argmax(dim=2)  # what is both drawn and the target counts once
    targets = torch.where(torch.arange(rows) < rows // 2, likely, targets)
    exact = full(features, targets, vectors)
    (expected,) = torch.autograd.grad(exact.sum(), features)
    drawn = TiedSoftmax(10_000, 5000)
    drawn.words = words  # more draws than words: a test alone asks for that
    drawn.bias = full.bias
    values, gradients = [], []
    for _ in range(40):
        found = drawn(features, targets, vectors)
        values.append(found.detach())
        gradients.append(torch.autograd.grad(found.sum(), features)[0])
    torch.testing.assert_close(torch.stack(values).mean(0), exact.detach(), atol=0.02, rtol=0.02)
    torch.testing.assert_close(torch.stack(gradients).mean(0), expected, atol=0.02, rtol=0.05)


def test_sampled_words_have_their_expected_counts() -> None:
    softmax = TiedSoftmax(20, 10)
    expected = softmax._log_expected_counts(torch.arange(20)).exp() / 10
    assert float(expected.sum()) == pytest.approx(1, abs=1e-6)
    torch.manual_seed(0)
    draw = (torch.rand(200_000) * math.log(21)).exp().long() - 1
    torch.testing.assert_close(draw.bincount(minlength=20) / 200_000, expected, atol=5e-3, rtol=0)


def test_out_of_training_all_words_are_scored_whatever_the_softmax() -> None:
    torch.manual_seed(0)
    vectors, features = torch.randn(60, 5), torch.randn(2, 1050, 5)
    targets = torch.randint(0, 60, (2, 1050))
    drawn = TiedSoftmax(60, 7).eval()
    with torch.no_grad():
        expected = (features @ vectors.T).log_softmax(dim=2).gather(2, targets[:, :, None])[:, :, 0]
        torch.testing.assert_close(drawn(features, targets, vectors), expected)
        torch.testing.assert_close(drawn.all(features[0], vectors).gather(1, targets[0, :, None])[:, 0], expected[0])
    adaptive, few = AdaptiveSoftmax(60, 5), features[:, :3]
    probabilities = adaptive.groups.log_prob(few.flatten(0, 1)).exp().view(2, 3, 60)
    torch.testing.assert_close(probabilities.sum(dim=2), torch.ones(2, 3))
    everything = torch.stack([adaptive(few, torch.full((2, 3), word), vectors) for word in range(60)], dim=2)
    torch.testing.assert_close(everything.exp(), probabilities)
    torch.testing.assert_close(adaptive.all(few[0], vectors).exp(), probabilities[0])


def test_each_side_has_words_drawn_for_itself() -> None:
    torch.manual_seed(0)
    softmax = TiedSoftmax(5000, 10)
    vectors, features = torch.randn(5000, 3), torch.ones(2, 1, 3)
    first, second = softmax(features, torch.full((2, 1), 7), vectors)
    assert first != second
