"""One step of the LSTM optimiser for 100,000 coordinates, against one matrix product of as many operations."""

from collections.abc import Callable

import torch

from lstmcli.config import Classifier, LstmOptimizer
from lstmcli.machine import malloc, runtime
from lstmcli.meta import lstm_optimizer
from lstmcli.models.classifier import build

COORDINATES = 100_000


def figures(median: Callable[[Callable[[], object], int], float]) -> dict[str, float]:
    """How many times as long as the product: (coordinates × width) @ (width × 4 hidden), of all layers' products."""
    malloc.keep(shared=True)  # for both sides: the product too writes a matrix of 32 MB
    torch.set_num_threads(runtime.available_threads())
    torch.manual_seed(0)
    config = LstmOptimizer()
    learner = lstm_optimizer.build(config, build(Classifier(embedding=4, hidden=4), words=10, labels=2))
    gradients = torch.randn(1, COORDINATES)
    widths = [2 + config.hidden, *[2 * config.hidden] * (config.layers - 1)]  # inputs and hidden state of each layer
    left, right = torch.randn(COORDINATES, sum(widths)), torch.randn(sum(widths), 4 * config.hidden)
    with torch.no_grad():
        state = learner.step(gradients, gradients, None)
        ours = median(lambda: learner.step(gradients, gradients, state), 7)
        product = median(lambda: left @ right, 7)
    return {"lstm_optimizer_ms": ours * 1000, "lstm_optimizer_vs_matmul": ours / product}
