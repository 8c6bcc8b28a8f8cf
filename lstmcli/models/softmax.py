"""Softmax layers over the vocabulary: full, sampled, and adaptive.

Words are numbered by falling frequency; the sampled and the adaptive softmax rely on it.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lstmcli.models.layers import at_least_float32
from lstmcli.models.parallel import at_once

ROWS = 1024  # scored at once over sampled words, and over all words without gradients: 30,000 words are 120 MB
CUTOFFS = (1 / 15, 1 / 3)  # of the vocabulary, where the clusters of an adaptive softmax end
DIV_VALUE = 2.0  # how much smaller the vectors of a cluster are than those of the one before


class TiedSoftmax(nn.Module):
    """Softmax with output vectors tied to the input vectors (Press & Wolf 2017, "Using the Output Embedding").

    samples: words drawn per batch in training; 0: all words are scored. They are drawn by Zipf's law: the probability
    of word k is log((k + 2) / (k + 1)) / log(words + 1). Each is weighted by the inverse of its expected count (Bengio
    & Senecal 2008, "Adaptive Importance Sampling", section 3), so that the expectation of the sum over the sample and
    the target is the full sum.
    """

    def __init__(self, words: int, samples: int) -> None:
        super().__init__()
        self.words = words
        self.samples = samples if samples < words else 0
        self.bias = nn.Parameter(torch.zeros(words))

    def forward(self, features: Tensor, targets: Tensor, vectors: Tensor) -> Tensor:
        """Compute the log probabilities of the targets, ``[direction, row]``.

        Each direction draws its own words: with the same for both, training gains a tenth less in the same time.

        Args:
            features: ``[direction, row, embedding]``.
            targets: ``[direction, row]``.
            vectors: ``[word, embedding]``.
        """
        if self.training and self.samples:
            return self._sampled(features, targets, vectors)
        rows = targets.numel() if torch.is_grad_enabled() else ROWS
        parts = zip(torch.split(features.flatten(0, 1), rows), torch.split(targets.flatten(), rows), strict=True)
        losses = [
            F.cross_entropy(at_least_float32(F.linear(part, vectors)) + self.bias, part_targets, reduction="none")
            for part, part_targets in parts
        ]
        return -torch.cat(losses).view_as(targets)

    def all(self, features: Tensor, vectors: Tensor) -> Tensor:
        """Compute the log probabilities of all words, ``[row, word]``."""
        return (at_least_float32(F.linear(features, vectors)) + self.bias).log_softmax(dim=-1)

    def _sampled(self, features: Tensor, targets: Tensor, vectors: Tensor) -> Tensor:
        draw = torch.rand(len(targets), self.samples, device=targets.device) * math.log(self.words + 1)
        samples = (draw.exp().long() - 1).clamp(0, self.words - 1)  # [direction, sample]
        words = torch.cat((targets, samples), dim=1)
        sizes = [targets.shape[1], self.samples]
        # One lookup of both: each has a gradient of the size of the vocabulary.
        target_vectors, sample_vectors = torch.split(F.embedding(words, vectors), sizes, dim=1)
        target_bias, sample_bias = torch.split(self.bias[words], sizes, dim=1)
        sample_bias = sample_bias - self._log_expected_counts(samples)
        size = max(ROWS, -(-targets.numel() // torch.get_num_threads()))
        by_row = (features, target_vectors, target_bias, targets)
        parts = [
            (*rows, sample_vectors[direction], sample_bias[direction], samples[direction])
            for direction in range(len(targets))
            for rows in zip(*(torch.split(tensor[direction], size) for tensor in by_row), strict=True)
        ]
        return torch.cat([log_probs for (log_probs,) in at_once(_log_probs, parts)]).view_as(targets)

    def _log_expected_counts(self, words: Tensor) -> Tensor:
        """Compute the log of the expected count of each word in a sample."""
        rank = words.double()
        probabilities = ((rank + 2) / (rank + 1)).log() / math.log(self.words + 1)
        return (probabilities * self.samples).log().float()


def _log_probs(
    features: Tensor,
    target_vectors: Tensor,
    target_bias: Tensor,
    targets: Tensor,
    sample_vectors: Tensor,
    sample_bias: Tensor,
    samples: Tensor,
) -> tuple[Tensor]:
    """Compute the log probabilities ``[row]`` of the targets against the sampled words.

    Args:
        features: ``[row, embedding]``.
        target_vectors: ``[row, embedding]``.
        target_bias: ``[row]``.
        targets: ``[row]``.
        sample_vectors: ``[sample, embedding]``.
        sample_bias: ``[sample]``, minus the log expected counts.
        samples: The sampled words, ``[sample]``.
    """
    logit = target_bias + (at_least_float32(features) * at_least_float32(target_vectors)).sum(-1)
    sums = []
    for part, part_targets in zip(torch.split(features, ROWS), torch.split(targets, ROWS), strict=True):
        logits = torch.add(F.linear(part, sample_vectors), sample_bias)  # [row, sample], small enough for the CPU cache
        logits = logits.masked_fill_(samples == part_targets[:, None], float("-inf"))
        sums.append(logits.logsumexp(dim=-1))
    return (logit - torch.logaddexp(logit, torch.cat(sums)),)


class AdaptiveSoftmax(nn.Module):
    """Softmax with clusters of rare words, which have smaller vectors of their own.

    Grave et al. (2017), "Efficient softmax approximation for GPUs", in torch's implementation.
    """

    def __init__(self, words: int, features: int) -> None:
        super().__init__()
        cutoffs = sorted({max(1, round(words * fraction)) for fraction in CUTOFFS})
        cutoffs = [cut for cut in cutoffs if cut < words]
        self.groups = nn.AdaptiveLogSoftmaxWithLoss(features, words, cutoffs, div_value=DIV_VALUE)

    def forward(self, features: Tensor, targets: Tensor, vectors: Tensor) -> Tensor:  # noqa: ARG002 (one signature)
        """Compute the log probabilities of the targets; shapes as in ``TiedSoftmax``."""
        with torch.autocast(features.device.type, enabled=False):
            log_probs: Tensor = self.groups(at_least_float32(features).flatten(0, 1), targets.flatten()).output
        return log_probs.view_as(targets)

    def all(self, features: Tensor, vectors: Tensor) -> Tensor:  # noqa: ARG002
        """Compute the log probabilities of all words, ``[row, word]``."""
        with torch.autocast(features.device.type, enabled=False):
            log_probs: Tensor = self.groups.log_prob(at_least_float32(features))
        return log_probs
