"""Matching networks: the labels of the support, averaged by attention from the query.

    p(k | x) = Σ_i a(f(x), g(x_i)) [y_i = k];   a(f, g_i) = softmax over i of  s cos(f, g_i)  or  -s |f - g_i|²

Vinyals, Blundell, Lillicrap, Kavukcuoglu & Wierstra (2016), "Matching Networks for One Shot Learning", section 2.1.
Full-context embeddings (their appendices A.1 and A.2) condition both sides on the whole support:

    g(x_i) = e(x_i) + U [h→_i, h←_i],              a bidirectional LSTM over the support
    f_0 = e(x);   r_k = Σ_i a(f_k, g_i) g_i;   h_{k+1} = LSTM([e(x), r_k], h_k);   f_{k+1} = e(x) + V h_{k+1},   K steps

where e is the input of the model's head and K = ``processing_steps``. In the paper U = V = 1, with LSTMs as wide as e;
here they may be narrower, and U and V start at zero, which is plain attention. The same attention a serves the
processing steps and the prediction; its scale s is learned. With K = 0 neither side has context.

An LSTM over a set depends on the order. Training shuffles the support each time; adaptation takes it in the given
order. With K = 0 the order does not matter.

No weight of the model is adapted: the learner keeps the embedded support of the task.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lstmcli.config import Matching as Config
from lstmcli.contracts import HEAD
from lstmcli.meta.inner import Learner, Weights, class_scores, embedded
from lstmcli.meta.prototypical import MASKED_LOGIT, one_hot_targets
from lstmcli.types import Batch, Loss

# Names in checkpoints, of the support's embeddings ``[task, text, feature]`` and one-hot labels ``[task, text,
# label]``.
TEXTS, ONE_HOT = "support.embedding", "support.member"


class Matching(Learner):
    """Matching networks. Its parameters have the names that checkpoints store."""

    uses_support_prior = whole_texts = True

    def __init__(self, config: Config, model: nn.Module) -> None:
        super().__init__([TEXTS, ONE_HOT])
        self.config = config
        like = model.get_parameter(f"{HEAD}.weight")
        features = like.shape[1]
        self.nearness = nn.Parameter(like.new_tensor(config.logit_scale).log())  # log s
        if config.processing_steps:
            self.over_support = nn.LSTM(features, config.hidden, batch_first=True, bidirectional=True)
            self.over_query = nn.LSTMCell(2 * features, config.hidden)
            self.to_support = nn.Linear(2 * config.hidden, features, bias=False)  # U
            self.to_query = nn.Linear(config.hidden, features, bias=False)  # V
            for part in (self.to_support, self.to_query):
                nn.init.zeros_(part.weight)
            self.to(like)

    def trajectory(self, model: nn.Module, support: Batch, loss: Loss) -> Iterator[Weights]:  # noqa: ARG002
        _, embedding = embedded(model, support)
        one_hot = one_hot_targets(model, support, embedding)
        if self.config.processing_steps:
            if model.training:
                order = torch.randperm(embedding.shape[1], device=embedding.device)
                embedding, one_hot = embedding[:, order], one_hot[:, order]
            embedding = embedding + self.to_support(self.over_support(embedding)[0])
        yield {TEXTS: embedding, ONE_HOT: one_hot}

    def logits(self, model: nn.Module, batch: Batch) -> Callable[[Weights], Tensor]:
        _, embedding = embedded(model, batch)  # [task, batch, feature]
        return lambda weights: self._log_probs(embedding, weights)

    def losses(self, model: nn.Module, batch: Batch, loss: Loss) -> Callable[[Weights], Tensor]:
        scores, embedding = embedded(model, batch)
        assert batch.targets is not None
        scored = class_scores(scores)
        tasks = [Batch(*parts) for parts in zip(batch.tokens, batch.lengths, batch.targets, strict=True)]

        def losses_at(weights: Weights) -> Tensor:
            each = zip(self._log_probs(embedding, weights), embedding, tasks, strict=True)
            return torch.stack(
                [
                    loss(replace(scored, logits=logits, embedding=features), task).value
                    for logits, features, task in each
                ]
            )

        return losses_at

    def _log_probs(self, embedding: Tensor, weights: Weights) -> Tensor:
        """Compute log p, ``[task, batch, label]``."""
        logits = self._attention_logits(self._in_context(embedding, weights[TEXTS]), weights[TEXTS])
        others = MASKED_LOGIT * (1 - weights[ONE_HOT].mT)  # [task, label, text]
        return (logits.log_softmax(dim=-1)[:, :, None] + others[:, None]).logsumexp(dim=-1)

    def _in_context(self, embedding: Tensor, texts: Tensor) -> Tensor:
        """Compute f, the query after K processing steps, ``[task, batch, feature]``."""
        query, state = embedding, None
        for _ in range(self.config.processing_steps):
            attended = self._attention_logits(query, texts).softmax(dim=-1) @ texts
            inputs = torch.cat((embedding, attended), dim=-1).flatten(0, 1)
            state = self.over_query(inputs, state)
            query = embedding + self.to_query(state[0]).view_as(embedding)
        return query

    def _attention_logits(self, query: Tensor, texts: Tensor) -> Tensor:
        """Compute the logits of each query text's attention to each support text, ``[task, batch, text]``."""
        if self.config.distance == "cosine":
            similarity = F.normalize(query, dim=-1) @ F.normalize(texts, dim=-1).mT
        else:  # -|f - g|² without |f|², which cancels in the softmax
            similarity = 2 * query @ texts.mT - texts.square().sum(dim=-1)[:, None]
        return self.nearness.exp() * similarity


def build(config: Config, model: nn.Module) -> Matching:
    """Build the learner for a model."""
    return Matching(config, model)
