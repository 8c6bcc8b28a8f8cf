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
WINDOW = 400  # words scored at once: what is read backwards starts again with each window, and should not do so often
RATE, PULL, EPSILON = 3e-4, 1e-2, 1e-5  # of dynamic evaluation; the best of four pairs on PTB's validation part


def outputs(
    parts: Parts, store: Store, what: str = "scoring", listener: Listener = silent, *, dynamic: bool = False
) -> Array:
    """What the model says of each text of a stream, read on from text to text, in the order of the store.

    dynamic: each window is learned from after it was scored; the model's own weights are put back at the end.
    """
    windows = bptt.to_score(store, window=parts.config.train.bptt if dynamic else WINDOW)
    losses: Array = np.zeros((1, len(store.ids)))  # [direction, token]
    parts.model.eval()
    for number, (places, logs) in enumerate((_learning if dynamic else _logs)(parts, windows)):
        if len(losses) < len(logs):
            losses = np.zeros((len(logs), len(store.ids)))
        losses[:, places] = -logs
        listener(Progress(what, number + 1, len(windows)))
    kept: Array = parts.stream_task.kept(np.add.reduceat(losses, store.offsets[:-1], axis=1), store.lengths)
    return kept


def _logs(parts: Parts, windows: Windows) -> Iterator[tuple[Array, Array]]:
    """Of each window where its words lie in the stream ``[token]``, and their log probabilities ``[direction,
    token]``."""
    state = parts.stream_model.begin(len(windows.begins))
    for number in range(len(windows)):
        batch = windows.batch(number).to(parts.runtime.device)
        with torch.inference_mode(), parts.runtime.autocast():
            scores = parts.model(batch, state)
        state = scores.state
        places, lengths = windows.positions(number)
        there = np.arange(places.shape[1]) < lengths[:, None]
        yield places[there], scores.logs.double().cpu().numpy()[:, there]


def _learning(parts: Parts, windows: Windows) -> Iterator[tuple[Array, Array]]:
    """As ``_logs``, with a step after each window: Krause et al. (2018), "Dynamic Evaluation of Neural Sequence
    Models", equation 5, with the mean squares of gradients so far where the paper has those of the training data.

        θ ← θ - RATE g / (√MS + ε) + PULL (θ₀ - θ)
    """
    weights: list[torch.Tensor] = list(parts.model.parameters())
    own = [weight.detach().clone() for weight in weights]
    squares = [torch.zeros_like(weight) for weight in weights]
    state = parts.stream_model.begin(len(windows.begins))
    try:
        for number in range(len(windows)):
            batch = windows.batch(number).to(parts.runtime.device)
            # cuDNN's LSTM has a derivative in training only, where there would be dropout.
            with torch.backends.cudnn.flags(enabled=False):
                with parts.runtime.autocast():
                    scores = parts.model(batch, state)
                cost = parts.task.loss(scores, batch).value  # an adaptive softmax leaves out groups that no word is of
                gradients = torch.autograd.grad(cost, weights, allow_unused=True, materialize_grads=True)
            state = tuple(part.detach() for part in scores.state)
            with torch.no_grad():
                torch._foreach_lerp_(squares, torch._foreach_mul(gradients, gradients), 1 / (number + 1))
                scales = torch._foreach_sqrt(squares)
                torch._foreach_add_(scales, EPSILON)
                torch._foreach_lerp_(weights, own, PULL)
                torch._foreach_addcdiv_(weights, gradients, scales, -RATE)
            places, lengths = windows.positions(number)
            there = np.arange(places.shape[1]) < lengths[:, None]
            yield places[there], scores.logs.detach().double().cpu().numpy()[:, there]
    finally:
        with torch.no_grad():
            torch._foreach_copy_(weights, own)
