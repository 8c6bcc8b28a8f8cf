"""The inner loop: gradient steps of many tasks at once, each with its own weights.

    w_0 = w;   w_{k+1} = w_k - rate_k ⊙ grad_{w_k} [L(support; w_k) + anchor |w_k - w_0|²]

Weights and texts have a leading dimension of tasks, and ``torch.func.vmap`` maps the model over it. Gradients are taken
outside of ``vmap``: tasks are independent, so the gradient of the summed losses holds each task's own gradient, and
autograd keeps the graph (exact second order) or not (first order).

If only the head is adapted, the encoder reads the texts of all tasks once, in one pass of the fused kernel, and a step
is a product of two small matrices.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from lstmcli.contracts import EMBEDDING, HEAD
from lstmcli.types import Batch, ClassScores, Episode, Headed, Loss, Scores, WordFeatures

PIECES = 6  # batches by length into which the texts of all tasks are split if they share one encoder

Weights = dict[str, Tensor]  # by name, each ``[task, ...]``
Reduce = Callable[[Scores, Batch], Tensor]  # from the scores of one task to its logits or its loss


class Learner(nn.Module):
    """Base class of the learners.

    Args:
        names: Of the adapted parameters; those of the head are always among them.
        multi_step_loss_weight: Weight of the mean loss after the earlier steps in the meta-loss (MAML++).
    """

    uses_support_prior = False  # True: after adaptation the class priors are those of the support
    whole_texts = False  # True: it needs a model that labels whole texts
    exact_gradient = True  # second order: the gradient of the meta-loss is the derivative of its value
    label_sets = False  # True: it learns sets of labels too

    def __init__(self, names: list[str], multi_step_loss_weight: float = 0.0) -> None:
        super().__init__()
        self.names = names
        self.multi_step_loss_weight = multi_step_loss_weight

    def trajectory(self, model: nn.Module, support: Batch, loss: Loss) -> Iterator[Weights]:
        """Yield the weights of each task before the first and after each step; the model is not changed.

        A learner without steps yields once: the head computed from the support, or what else it keeps of the support.
        """
        raise NotImplementedError

    def meta_loss(self, model: nn.Module, episode: Episode, loss: Loss) -> Tensor:
        """Compute each task's loss on its query after adaptation, ``[task]``; with ``multi_step_loss_weight`` also
        after the earlier steps."""
        query_losses = self.losses(model, episode.query, loss)
        *earlier, last = self.trajectory(model, episode.support, loss)
        between, weight = earlier[1:], self.multi_step_loss_weight
        if not weight or not between:
            return query_losses(last)
        return (1 - weight) * query_losses(last) + weight * torch.stack([*map(query_losses, between)]).mean(dim=0)

    def logits(self, model: nn.Module, batch: Batch) -> Callable[[Weights], Tensor]:
        """Return each task's logits, ``[task, batch, label]``, as a function of the adapted parameters."""
        return functional_scores(model, batch, self.names, lambda scores, _: class_scores(scores).logits)

    def losses(self, model: nn.Module, batch: Batch, loss: Loss) -> Callable[[Weights], Tensor]:
        """Return each task's loss, ``[task]``, as a function of the adapted parameters."""
        return functional_scores(model, batch, self.names, lambda scores, task: loss(scores, task).value)


def adapted_names(model: nn.Module, adapted: str) -> list[str]:
    """Return the names of the adapted parameters. adapted: ``all``, ``lstm+head``, ``biases+head`` or ``head``."""
    filters: dict[str, Callable[[str], bool]] = {
        "all": lambda _: True,
        "lstm+head": lambda name: not name.startswith(f"{EMBEDDING}."),
        "biases+head": lambda name: _in_head(name) or "bias" in name,
        "head": _in_head,
    }
    return [name for name, _ in model.named_parameters() if filters[adapted](name)]


def expand_weights(model: nn.Module, names: list[str], tasks: int) -> Weights:
    """Expand the model's weights to one copy per task; gradients flow back to them."""
    return {name: model.get_parameter(name).expand(tasks, *model.get_parameter(name).shape) for name in names}


def functional_scores(model: nn.Module, batch: Batch, names: list[str], reduce: Reduce) -> Callable[[Weights], Tensor]:
    """Return each task's scores after ``reduce``, ``[task, ...]``, as a function of the adapted parameters.

    batch: of many tasks, ``[task, batch, time]``.
    """
    if all(map(_in_head, names)):
        return _functional_scores_of_head(model, batch, reduce)

    def one(weights: Weights, batch: Batch) -> Tensor:
        return reduce(functional_call(model, weights, (batch,)), batch)

    return lambda weights: _over_tasks(one, weights, batch)


def class_scores(scores: Scores) -> ClassScores:
    """Narrow the type to the scores of a model that labels whole texts."""
    assert isinstance(scores, ClassScores)
    return scores


def embedded(model: nn.Module, batch: Batch) -> tuple[Headed, Tensor]:
    """Compute the scores of the texts of all tasks in one pass, and their embeddings ``[task, batch, ...,
    feature]``."""
    together = _flatten_tasks(batch)
    scores: Headed = model(together) if batch.word_features is not None else _scores_by_length(model, together)
    return scores, scores.embedding.view(len(batch.tokens), -1, *scores.embedding.shape[1:])


def _scores_by_length(model: nn.Module, batch: Batch) -> ClassScores:
    """Score whole texts in batches of similar length: most texts are far shorter than the longest."""
    if int(batch.lengths.min()) == batch.tokens.shape[1]:
        return class_scores(model(batch))
    order = batch.lengths.argsort()
    parts = []
    for indices in order.chunk(PIECES):
        lengths = batch.lengths[indices]
        parts.append(class_scores(model(Batch(batch.tokens[indices, : int(lengths[-1])], lengths))))
    inverse = order.argsort()
    logits = torch.cat([part.logits for part in parts])[inverse]
    embedding = torch.cat([part.embedding for part in parts])[inverse]
    return ClassScores(logits, embedding)


def _functional_scores_of_head(model: nn.Module, batch: Batch, reduce: Reduce) -> Callable[[Weights], Tensor]:
    """Compute the embeddings once; only the head depends on the adapted parameters."""
    scores, embedding = embedded(model, batch)
    head = model.get_submodule(HEAD)
    dtype = head.get_parameter("weight").dtype

    def one(weights: Weights, batch: Batch, embedding: Tensor) -> Tensor:
        head_weights = {name.removeprefix(f"{HEAD}."): value for name, value in weights.items()}
        output = functional_call(head, head_weights, (embedding.to(dtype),))
        return reduce(scores.headed(output, embedding, batch), batch)

    return lambda weights: _over_tasks(one, weights, batch, embedding)


def _flatten_tasks(batch: Batch) -> Batch:
    """Join the texts of all tasks into one batch, without targets."""
    features = batch.word_features
    if features is not None:
        tasks, forms = features.casing.shape
        first = forms * torch.arange(tasks, device=features.forms.device)[:, None, None]
        forms, *others = vars(features).values()
        features = WordFeatures(*(part.flatten(0, 1) for part in (forms + first, *others)))
    return Batch(batch.tokens.flatten(0, 1), batch.lengths.flatten(0, 1), word_features=features)


def _over_tasks(one: Callable[..., Tensor], weights: Weights, batch: Batch, *more: Tensor) -> Tensor:
    """Map the function of one task's weights, batch and further tensors over all tasks."""

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
    """Yield the weights before the first and after each step of gradient descent.

    Args:
        losses: Each task's loss, ``[task]``, as a function of the weights.
        weights: The initial weights.
        rate: The learning rate of a parameter, by name, at a step.
        steps: How many.
        exact: A gradient through the result passes through the inner gradients too; False: they count as constants.
        anchor: Weight of the squared distance to the initial weights in the loss; these count as constants.
    """
    yield weights
    start = {name: value.detach() for name, value in weights.items()}

    def anchored(at: Weights) -> Tensor:
        squares = [flatten(value - start[name]).square().sum(dim=1) for name, value in at.items()]
        return losses(at) + anchor * torch.stack(squares).sum(dim=0)

    for step in range(steps):
        _, gradients = value_and_grad(anchored if anchor else losses, weights, exact=exact)
        weights = {name: value - rate(name, step) * gradients[name] for name, value in weights.items()}
        yield weights


def value_and_grad(losses: Callable[[Weights], Tensor], weights: Weights, *, exact: bool) -> tuple[Tensor, Weights]:
    """Compute each task's loss at the weights, ``[task]``, and the gradients; both are detached unless ``exact``, or if
    gradients are off."""
    exact = exact and torch.is_grad_enabled()
    with torch.enable_grad():
        at = weights if exact else {name: value.detach().requires_grad_() for name, value in weights.items()}
        value = losses(at)
        gradients = torch.autograd.grad(value.sum(), list(at.values()), create_graph=exact)
    return value if exact else value.detach(), dict(zip(at, gradients, strict=True))


def to_vector(weights: Weights) -> Tensor:
    """Concatenate all weights of each task to one vector, ``[task, coordinate]``."""
    return torch.cat([flatten(value) for value in weights.values()], dim=1)


def flatten(value: Tensor) -> Tensor:
    """Flatten one parameter of each task to ``[task, coordinate]``; a scalar too."""
    return value.reshape(len(value), -1)


def from_vector(rows: Tensor, like: Weights) -> Weights:
    """Split vectors ``[task, coordinate]`` into weights with the shapes of ``like``."""
    pieces = torch.split(rows, [value[0].numel() for value in like.values()], dim=1)
    return {name: piece.view_as(value) for (name, value), piece in zip(like.items(), pieces, strict=True)}


def _in_head(name: str) -> bool:
    return name.startswith(f"{HEAD}.")
