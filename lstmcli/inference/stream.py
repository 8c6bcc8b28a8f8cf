"""Running text, scored as one stream: what was read goes on into the next text."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from lstmcli.data.batches import bptt
from lstmcli.data.batches.bptt import Windows
from lstmcli.data.batches.encoded import Store
from lstmcli.events import Listener, Progress, silent
from lstmcli.inference.assemble import Parts

Array = np.ndarray[Any, np.dtype[Any]]
WINDOW = 400  # words scored at once; long, since the backward direction restarts in each window
RATE, DECAY, EPSILON = 3e-4, 1e-2, 1e-5  # of dynamic evaluation; the best of four pairs on PTB's validation part


def outputs(
    parts: Parts, store: Store, what: str = "scoring", listener: Listener = silent, *, dynamic: bool = False
) -> Array:
    """Compute the model's output for each text of a stream, in order; its state carries over from text to text.

    dynamic: dynamic evaluation, a training step after each window is scored; the weights are restored at the end.
    """
    windows = bptt.to_score(store, window=parts.config.train.bptt if dynamic else WINDOW)
    losses: Array = np.zeros((1, len(store.ids)))  # [direction, token]
    parts.model.eval()
    for number, (positions, log_probs) in enumerate((_dynamic_log_probs if dynamic else _log_probs)(parts, windows)):
        if len(losses) < len(log_probs):
            losses = np.zeros((len(log_probs), len(store.ids)))
        losses[:, positions] = -log_probs
        listener(Progress(what, number + 1, len(windows)))
    kept: Array = parts.stream_task.kept(np.add.reduceat(losses, store.offsets[:-1], axis=1), store.lengths)
    return kept


def _log_probs(parts: Parts, windows: Windows) -> Iterator[tuple[Array, Array]]:
    """Yield for each window the positions of its words in the stream ``[token]`` and their log probabilities
    ``[direction, token]``."""
    state = parts.stream_model.begin(len(windows.begins))
    for number in range(len(windows)):
        batch = windows.batch(number).to(parts.runtime.device)
        with torch.inference_mode(), parts.runtime.autocast():
            scores = parts.model(batch, state)
        state = scores.state
        positions, lengths = windows.positions(number)
        mask = np.arange(positions.shape[1]) < lengths[:, None]
        yield positions[mask], scores.log_probs.double().cpu().numpy()[:, mask]


def _dynamic_log_probs(parts: Parts, windows: Windows) -> Iterator[tuple[Array, Array]]:
    """Yield the same with a training step after each window.

        θ ← θ - RATE g / (√MS + ε) + DECAY (θ₀ - θ)

    Krause et al. (2018), "Dynamic Evaluation of Neural Sequence Models", equation 5, with the running mean square of
    the gradients in place of that over the training data.
    """
    weights: list[torch.Tensor] = list(parts.model.parameters())
    initial = [weight.detach().clone() for weight in weights]
    squares = [torch.zeros_like(weight) for weight in weights]
    state = parts.stream_model.begin(len(windows.begins))
    try:
        for number in range(len(windows)):
            batch = windows.batch(number).to(parts.runtime.device)
            # cuDNN's LSTM has a backward pass in training mode only, which would apply dropout.
            with torch.backends.cudnn.flags(enabled=False):
                with parts.runtime.autocast():
                    scores = parts.model(batch, state)
                cost = parts.task.loss(scores, batch).value  # an adaptive softmax leaves out unused clusters
                gradients = torch.autograd.grad(cost, weights, allow_unused=True, materialize_grads=True)
            state = tuple(part.detach() for part in scores.state)
            with torch.no_grad():
                torch._foreach_lerp_(squares, torch._foreach_mul(gradients, gradients), 1 / (number + 1))
                scales = torch._foreach_sqrt(squares)
                torch._foreach_add_(scales, EPSILON)
                torch._foreach_lerp_(weights, initial, DECAY)
                torch._foreach_addcdiv_(weights, gradients, scales, -RATE)
            positions, lengths = windows.positions(number)
            mask = np.arange(positions.shape[1]) < lengths[:, None]
            yield positions[mask], scores.log_probs.detach().double().cpu().numpy()[:, mask]
    finally:
        with torch.no_grad():
            torch._foreach_copy_(weights, initial)
