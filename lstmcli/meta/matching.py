"""Matching networks: the label of a text is what those near to it in the support say, an LSTM saying how near.

    p(k | x) = Σ_i a(f(x), g(x_i)) [y_i = k];   a(f, g_i) = softmax over i of  s cos(f, g_i)  or  -s |f - g_i|²

Vinyals, Blundell, Lillicrap, Kavukcuoglu & Wierstra (2016), "Matching Networks for One Shot Learning", section 2.1.
Both sides are embedded in the light of the whole support (their full-context embeddings, appendices A.1 and A.2):

    g(x_i) = e(x_i) + U [h→_i, h←_i],              a bidirectional LSTM over the support
    f_0 = e(x);   r_k = Σ_i a(f_k, g_i) g_i;   h_{k+1} = LSTM([e(x), r_k], h_k);   f_{k+1} = e(x) + V h_{k+1},   K reads

where e is what the model's head sees. There U = V = 1, with LSTMs as wide as e; here they may be narrower, and U and V
begin at zero: plain attention, from which training departs. One attention a serves both the reads and the answer, and
s is learned. With no reads neither side has context.

An LSTM over a set depends on its order. Training reads the support in an order drawn anew, so that nothing is learned
from it; adaptation reads it as it is given. Without reads the order does not matter.

No weight of the model moves: what a task is adapted to is its support, embedded.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lstmcli.config import Matching as Config
from lstmcli.meta.inner import HEAD, Learner, Weights, classes, embedded
from lstmcli.meta.prototypical import MASKED_LOGIT, membership
from lstmcli.types import Batch, Loss

TEXTS, MEMBERS = "support.embedding", "support.member"  # [task, text, feature] and [task, text, label]


class Matching(Learner):
    """Learns to see texts in the light of others, and how fast nearness falls off."""

    uses_support_prior = whole_texts = True

    def __init__(self, config: Config, model: nn.Module) -> None:
        super().__init__([TEXTS, MEMBERS])
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
        member = membership(model, support, embedding)
        if self.config.processing_steps:
            if model.training:
                order = torch.randperm(embedding.shape[1], device=embedding.device)
                embedding, member = embedding[:, order], member[:, order]
            embedding = embedding + self.to_support(self.over_support(embedding)[0])
        yield {TEXTS: embedding, MEMBERS: member}

    def logits(self, model: nn.Module, batch: Batch) -> Callable[[Weights], Tensor]:
        _, embedding = embedded(model, batch)  # [task, batch, feature]
        return lambda weights: self._answer(embedding, weights)

    def losses(self, model: nn.Module, batch: Batch, loss: Loss) -> Callable[[Weights], Tensor]:
        scores, embedding = embedded(model, batch)
        assert batch.targets is not None
        told = classes(scores)
        tasks = [Batch(*parts) for parts in zip(batch.tokens, batch.lengths, batch.targets, strict=True)]

        def lost(weights: Weights) -> Tensor:
            each = zip(self._answer(embedding, weights), embedding, tasks, strict=True)
            return torch.stack([loss(replace(told, logits=one, embedding=its), task).value for one, its, task in each])

        return lost

    def _answer(self, embedding: Tensor, weights: Weights) -> Tensor:
        """log p, ``[task, batch, label]``."""
        nearness = self._nearness(self._in_context(embedding, weights[TEXTS]), weights[TEXTS])
        others = MASKED_LOGIT * (1 - weights[MEMBERS].mT)  # [task, label, text]
        return (nearness.log_softmax(dim=-1)[:, :, None] + others[:, None]).logsumexp(dim=-1)

    def _in_context(self, embedding: Tensor, texts: Tensor) -> Tensor:
        """f: the texts of the query after K reads of the support, ``[task, batch, feature]``."""
        seen, state = embedding, None
        for _ in range(self.config.processing_steps):
            read = self._nearness(seen, texts).softmax(dim=-1) @ texts
            both = torch.cat((embedding, read), dim=-1).flatten(0, 1)
            state = self.over_query(both, state)
            seen = embedding + self.to_query(state[0]).view_as(embedding)
        return seen

    def _nearness(self, seen: Tensor, texts: Tensor) -> Tensor:
        """Of each text of the query to each of the support, ``[task, batch, text]``."""
        if self.config.distance == "cosine":
            near = F.normalize(seen, dim=-1) @ F.normalize(texts, dim=-1).mT
        else:  # |f|² is the same for all texts, and a softmax does not see it
            near = 2 * seen @ texts.mT - texts.square().sum(dim=-1)[:, None]
        return self.nearness.exp() * near


def build(config: Config, model: nn.Module) -> Matching:
    """A learner for models of this kind."""
    return Matching(config, model)
