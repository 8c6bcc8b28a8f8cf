"""The inner loop: gradient steps of many tasks at once, each at weights of its own.

    w_0 = w;   w_{k+1} = w_k - rate_k ⊙ grad_{w_k} [L(support; w_k) + anchor |w_k - w_0|²]

Weights and texts carry a leading dimension of tasks, and ``torch.func.vmap`` runs the model over it. The derivative is
taken outside of it: tasks do not touch, so the gradient of the sum of their losses is each task's own, and plain
autograd keeps the graph (exact second order) or not (first order).

Where only the head moves, the encoder stands still: it reads the texts of all tasks once, in one pass of the fused
kernel, and a step costs a product of two small matrices.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from lstmcli.contracts import EMBEDDING, HEAD
from lstmcli.types import Batch, ClassScores, Episode, Headed, Loss, Scores, WordFeatures

PIECES = 6  # that texts are split into by length, where all are read at the same weights

Weights = dict[str, Tensor]  # by name, each ``[task, ...]``
Reduce = Callable[[Scores, Batch], Tensor]  # from the scores of one task to what is wanted of them: logits, a loss


class Learner(nn.Module):
    """What all learners share.

    names: of the adapted parameters; the head is always among them. share: of the meta-loss that earlier steps have.
    """

    uses_support_prior = False  # after adaptation the classes have the shares that they have in the support
    whole_texts = False  # it compares texts, and cannot adapt a model that tags words
    exact_gradient = True  # of second order, the gradient of the meta-loss is the derivative of its value

    def __init__(self, names: list[str], share: float = 0.0) -> None:
        super().__init__()
        self.names = names
        self.share = share

    def trajectory(self, model: nn.Module, support: Batch, loss: Loss) -> Iterator[Weights]:
        """The weights of each task before the first and after each step; the model is left as it is.

        A learner without steps yields once: the head that it makes of the support, or what else it needs to remember.
        """
        raise NotImplementedError

    def meta_loss(self, model: nn.Module, episode: Episode, loss: Loss) -> Tensor:
        """The loss of each task's query after adaptation, ``[task]``; with ``share`` after earlier steps too."""
        queried = self.losses(model, episode.query, loss)
        *earlier, end = self.trajectory(model, episode.support, loss)
        between = earlier[1:]
        if not self.share or not between:
            return queried(end)
        return (1 - self.share) * queried(end) + self.share * torch.stack([*map(queried, between)]).mean(dim=0)

    def logits(self, model: nn.Module, batch: Batch) -> Callable[[Weights], Tensor]:
        """The logits of each task, ``[task, batch, label]``, as a function of the adapted parameters."""
        return functional_scores(model, batch, self.names, lambda scores, _: classes(scores).logits)

    def losses(self, model: nn.Module, batch: Batch, loss: Loss) -> Callable[[Weights], Tensor]:
        """The losses of each task, ``[task]``, as a function of the adapted parameters."""
        return functional_scores(model, batch, self.names, lambda scores, task: loss(scores, task).value)


def moving(model: nn.Module, moves: str) -> list[str]:
    """The names of the adapted parameters: ``all``, ``lstm+head``, ``biases+head`` or ``head``."""
    kept: dict[str, Callable[[str], bool]] = {
        "all": lambda _: True,
        "lstm+head": lambda name: not name.startswith(f"{EMBEDDING}."),
        "biases+head": lambda name: _of_head(name) or "bias" in name,
        "head": _of_head,
    }
    return [name for name, _ in model.named_parameters() if kept[moves](name)]


def spread(model: nn.Module, names: list[str], tasks: int) -> Weights:
    """The model's own weights, once per task; gradients flow back to them."""
    return {name: model.get_parameter(name).expand(tasks, *model.get_parameter(name).shape) for name in names}


def functional_scores(model: nn.Module, batch: Batch, names: list[str], reduce: Reduce) -> Callable[[Weights], Tensor]:
    """Each task's scores after ``reduce``, ``[task, ...]``, as a function of the adapted parameters.

    batch: of many tasks, ``[task, batch, time]``.
    """
    if all(map(_of_head, names)):
        return _functional_scores_of_head(model, batch, reduce)

    def one(weights: Weights, batch: Batch) -> Tensor:
        return reduce(functional_call(model, weights, (batch,)), batch)

    return lambda weights: _over_tasks(one, weights, batch)


def classes(scores: Scores) -> ClassScores:
    """The scores, of a model that labels whole texts."""
    assert isinstance(scores, ClassScores)
    return scores


def embedded(model: nn.Module, batch: Batch) -> tuple[Headed, Tensor]:
    """The scores of the texts of all tasks, read in one pass, and their embeddings ``[task, batch, ..., feature]``."""
    together = _together(batch)
    scores: Headed = model(together) if batch.word_features is not None else _read(model, together)
    return scores, scores.embedding.view(len(batch.tokens), -1, *scores.embedding.shape[1:])


def _read(model: nn.Module, batch: Batch) -> ClassScores:
    """The scores of whole texts, read with others of like length: most texts are far shorter than the longest."""
    if int(batch.lengths.min()) == batch.tokens.shape[1]:
        return classes(model(batch))
    order = batch.lengths.argsort()
    parts = []
    for indices in order.chunk(PIECES):
        lengths = batch.lengths[indices]
        parts.append(classes(model(Batch(batch.tokens[indices, : int(lengths[-1])], lengths))))
    back = order.argsort()
    logits, embedding = (torch.cat([getattr(part, name) for part in parts])[back] for name in ("logits", "embedding"))
    return ClassScores(logits, embedding)


def _functional_scores_of_head(model: nn.Module, batch: Batch, reduce: Reduce) -> Callable[[Weights], Tensor]:
    scores, embedding = embedded(model, batch)
    head = model.get_submodule(HEAD)
    dtype = head.get_parameter("weight").dtype

    def one(weights: Weights, batch: Batch, embedding: Tensor) -> Tensor:
        own = {name.removeprefix(f"{HEAD}."): value for name, value in weights.items()}
        output = functional_call(head, own, (embedding.to(dtype),))
        return reduce(scores.headed(output, embedding, batch), batch)

    return lambda weights: _over_tasks(one, weights, batch, embedding)


def _together(batch: Batch) -> Batch:
    """The texts of all tasks as one batch, without targets."""
    features = batch.word_features
    if features is not None:
        tasks, forms = features.casing.shape
        first = forms * torch.arange(tasks, device=features.forms.device)[:, None, None]
        forms, *own = vars(features).values()
        features = WordFeatures(*(part.flatten(0, 1) for part in (forms + first, *own)))
    return Batch(batch.tokens.flatten(0, 1), batch.lengths.flatten(0, 1), word_features=features)


def _over_tasks(one: Callable[..., Tensor], weights: Weights, batch: Batch, *more: Tensor) -> Tensor:
    def of_one(weights: Weights, tensors: dict[str, Tensor], features: dict[str, Tensor], *more: Tensor) -> Tensor:
        return one(weights, Batch(**tensors, word_features=WordFeatures(**features) if features else None), *more)

    present = {name: getattr(batch, name) for name in ("tokens", "lengths", "targets")}
    tensors = {name: value for name, value in present.items() if value is not None}
    features = {} if batch.word_features is None else vars(batch.word_features)
    result: Tensor = vmap(of_one, randomness="different")(weights, tensors, features, *more)
    return result


def descend(
    losses: Callable[[Weights], Tensor],
    weights: Weights,
    rate: Callable[[str, int], Tensor | float],
    *,
    steps: int,
    exact: bool = False,
    anchor: float = 0.0,
) -> Iterator[Weights]:
    """The weights before the first and after each step.

    losses: of each task; rate: of a weight at a step. With ``exact`` a gradient through the result passes through the
    inner gradients too; without, it takes them for constants.
    """
    yield weights
    start = {name: value.detach() for name, value in weights.items()}

    def anchored(at: Weights) -> Tensor:
        pulls = [flatten(value - start[name]).square().sum(dim=1) for name, value in at.items()]
        return losses(at) + anchor * torch.stack(pulls).sum(dim=0)

    for step in range(steps):
        _, gradients = value_and_grad(anchored if anchor else losses, weights, exact=exact)
        weights = {name: value - rate(name, step) * gradients[name] for name, value in weights.items()}
        yield weights


def value_and_grad(losses: Callable[[Weights], Tensor], weights: Weights, *, exact: bool) -> tuple[Tensor, Weights]:
    """The losses of each task at the weights, ``[task]``, and their gradients; constants unless ``exact``."""
    with torch.enable_grad():
        at = weights if exact else {name: value.detach().requires_grad_() for name, value in weights.items()}
        value = losses(at)
        gradients = torch.autograd.grad(value.sum(), list(at.values()), create_graph=exact)
    return value if exact else value.detach(), dict(zip(at, gradients, strict=True))


def to_vector(weights: Weights) -> Tensor:
    """All weights of each task as one vector, ``[task, coordinate]``."""
    return torch.cat([flatten(value) for value in weights.values()], dim=1)


def flatten(value: Tensor) -> Tensor:
    """A weight of each task in a row, ``[task, coordinate]``; a single number too."""
    return value.reshape(len(value), -1)


def from_vector(rows: Tensor, like: Weights) -> Weights:
    """The weights of these vectors, in the shapes of ``like``."""
    pieces = torch.split(rows, [value[0].numel() for value in like.values()], dim=1)
    return {name: piece.view_as(value) for (name, value), piece in zip(like.items(), pieces, strict=True)}


def _of_head(name: str) -> bool:
    return name.startswith(f"{HEAD}.")
