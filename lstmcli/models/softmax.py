"""The probability of each next word: over all words, over some that are drawn, or by groups of like frequency.

Words are numbered by frequency, the most frequent first; that is what the drawn and the grouped softmax rely on.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lstmcli.models.layers import at_least_float32
from lstmcli.models.parallel import at_once

ROWS = 1024  # scored at once over drawn words, and over all where nothing is learned: 30,000 words are 120 MB
SHARES = (1 / 15, 1 / 3)  # of the vocabulary, where the groups of an adaptive softmax end
NARROWER = 2.0  # each group's vectors than those of the group before


class TiedSoftmax(nn.Module):
    """Words' output vectors are their input vectors (Press & Wolf 2017, "Using the Output Embedding").

    samples: how many words are drawn a batch in training, 0: none, all are scored. Drawn after Zipf's law, the
    probability of word k being log((k + 2) / (k + 1)) / log(words + 1); each stands for as many words as the inverse of
    how often it was to be expected (Bengio & Senecal 2008, "Adaptive Importance Sampling", section 3), so that the sum
    over them and the target has the mean of the full sum.
    """

    def __init__(self, words: int, samples: int) -> None:
        super().__init__()
        self.words = words
        self.samples = samples if samples < words else 0
        self.bias = nn.Parameter(torch.zeros(words))

    def forward(self, features: Tensor, targets: Tensor, vectors: Tensor) -> Tensor:
        """Log probabilities of the targets, both ``[direction, row]``.

        features: ``[direction, row, embedding]``; vectors: ``[word, embedding]``. Words are drawn for each direction by
        itself: with the same for both it learns a tenth less in the same time.
        """
        if self.training and self.samples:
            return self._drawn(features, targets, vectors)
        rows = targets.numel() if torch.is_grad_enabled() else ROWS
        parts = zip(torch.split(features.flatten(0, 1), rows), torch.split(targets.flatten(), rows), strict=True)
        losses = [
            F.cross_entropy(at_least_float32(F.linear(some, vectors)) + self.bias, known_targets, reduction="none")
            for some, known_targets in parts
        ]
        return -torch.cat(losses).view_as(targets)

    def all(self, features: Tensor, vectors: Tensor) -> Tensor:
        """Log probabilities of all words, ``[row, word]``."""
        return (at_least_float32(F.linear(features, vectors)) + self.bias).log_softmax(dim=-1)

    def _drawn(self, features: Tensor, targets: Tensor, vectors: Tensor) -> Tensor:
        draw = torch.rand(len(targets), self.samples, device=targets.device) * math.log(self.words + 1)
        others = (draw.exp().long() - 1).clamp(0, self.words - 1)  # [direction, sample]
        both = torch.cat((targets, others), dim=1)
        sizes = [targets.shape[1], self.samples]
        known, drawn = torch.split(F.embedding(both, vectors), sizes, dim=1)  # at once: a gradient of all words each
        own, bias = torch.split(self.bias[both], sizes, dim=1)
        bias = bias - self._expected(others)
        size = max(ROWS, -(-targets.numel() // torch.get_num_threads()))
        parts = [
            (*rows, drawn[direction], bias[direction], others[direction])
            for direction in range(len(targets))
            for rows in zip(
                *(torch.split(each[direction], size) for each in (features, known, own, targets)), strict=True
            )
        ]
        return torch.cat([log_probs for (log_probs,) in at_once(_log_probs, parts)]).view_as(targets)

    def _expected(self, words: Tensor) -> Tensor:
        """The log of how often each word is to be expected among the drawn."""
        rank = words.double()
        probabilities = ((rank + 2) / (rank + 1)).log() / math.log(self.words + 1)
        return (probabilities * self.samples).log().float()


def _log_probs(
    features: Tensor, known: Tensor, own: Tensor, targets: Tensor, drawn: Tensor, bias: Tensor, others: Tensor
) -> tuple[Tensor]:
    """Log probabilities ``[row]`` of the targets among themselves and the drawn. known, drawn: their vectors, ``[row,
    embedding]`` and ``[sample, embedding]``; own, bias: their biases; others: the drawn words."""
    own = own + (at_least_float32(features) * at_least_float32(known)).sum(-1)
    sums = []
    for some, known_targets in zip(torch.split(features, ROWS), torch.split(targets, ROWS), strict=True):
        logits = torch.add(F.linear(some, drawn), bias).masked_fill_(others == known_targets[:, None], float("-inf"))
        sums.append(logits.logsumexp(dim=-1))  # [row, sample] at a size that caches hold
    return (own - torch.logaddexp(own, torch.cat(sums)),)


class AdaptiveSoftmax(nn.Module):
    """Rare words in groups, scored only where the group is meant, with smaller vectors of their own.

    Grave et al. (2017), "Efficient softmax approximation for GPUs", as torch has it.
    """

    def __init__(self, words: int, features: int) -> None:
        super().__init__()
        cutoffs = sorted({max(1, round(words * share)) for share in SHARES})
        cutoffs = [cut for cut in cutoffs if cut < words]
        self.groups = nn.AdaptiveLogSoftmaxWithLoss(features, words, cutoffs, div_value=NARROWER)

    def forward(self, features: Tensor, targets: Tensor, vectors: Tensor) -> Tensor:  # noqa: ARG002 (one signature)
        """As of ``TiedSoftmax``."""
        with torch.autocast(features.device.type, enabled=False):
            log_probs: Tensor = self.groups(at_least_float32(features).flatten(0, 1), targets.flatten()).output
        return log_probs.view_as(targets)

    def all(self, features: Tensor, vectors: Tensor) -> Tensor:  # noqa: ARG002
        """As of ``TiedSoftmax``."""
        with torch.autocast(features.device.type, enabled=False):
            log_probs: Tensor = self.groups.log_prob(at_least_float32(features))
        return log_probs
