"""A meta-step of MAML: 8 tasks of 10 + 10 texts of 64 tokens, hidden 64, 3 inner steps, against a loop over nn.LSTM."""

import resource
from collections.abc import Callable

import torch
from torch import nn
from torch.func import functional_call

from lstmcli.config import Classifier, Maml
from lstmcli.machine import malloc, runtime
from lstmcli.meta import maml
from lstmcli.models.classifier import build
from lstmcli.tasks.classify import loss
from lstmcli.types import Batch, Episode

TASKS, TEXTS, TIME, STEPS, RATE, WORDS = 8, 10, 64, 3, 0.1, 5000
MODEL = Classifier(embedding=50, hidden=64, dropout=0.0, bidirectional=False)
MOVES = "lstm+head"
META_STEPS = 200


class Loop(nn.Module):
    """The same model as it is usually written, and a task after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, MODEL.embedding, padding_idx=0)
        self.lstm = nn.LSTM(MODEL.embedding, MODEL.hidden, batch_first=True)
        self.head = nn.Linear(2 * MODEL.hidden, 2)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        hidden, _ = self.lstm(self.embedding(tokens))
        return self.head(torch.cat((hidden.amax(dim=1), hidden.mean(dim=1)), dim=1))

    def step(self, episode: Episode) -> None:
        """An exact second-order meta-step."""
        self.zero_grad()
        support, query = episode.support, episode.query
        for task in range(TASKS):
            weights = {name: value for name, value in self.named_parameters() if not name.startswith("embedding")}
            for _ in range(STEPS):
                logits = functional_call(self, weights, (support.tokens[task],))
                fit = nn.functional.cross_entropy(logits, support.targets[task])
                gradients = torch.autograd.grad(fit, list(weights.values()), create_graph=True)
                weights = {name: value - RATE * gradient
                           for (name, value), gradient in zip(weights.items(), gradients, strict=True)}  # fmt: skip
            logits = functional_call(self, weights, (query.tokens[task],))
            (nn.functional.cross_entropy(logits, query.targets[task]) / TASKS).backward()


def texts() -> Batch:
    shape = (TASKS, TEXTS)
    targets = (torch.arange(TEXTS) % 2).expand(shape)
    return Batch(torch.randint(1, WORDS, (*shape, TIME)), torch.full(shape, TIME), targets)


def ours(order: str, episode: Episode) -> Callable[[], None]:
    model = build(MODEL, words=WORDS, labels=2)
    learner = maml.build(Maml(order=order, adapted_parameters=MOVES, steps=STEPS, lr=RATE), model)

    def step() -> None:
        model.zero_grad()
        learner.meta_loss(model, episode, loss).mean().backward()

    return step


def figures(median: Callable[[Callable[[], object], int], float]) -> dict[str, float]:
    """How much faster, exact and in first order, than the exact loop; growth of memory over 200 meta-steps."""
    torch.set_num_threads(runtime.available_threads())
    torch.manual_seed(0)
    episode = Episode(texts(), texts(), ("a", "b"))
    loop = Loop()
    exact, first = ours("second", episode), ours("first", episode)
    theirs = min(median(lambda: loop.step(episode), 3) for _ in range(3))
    malloc.keep(shared=True)
    seconds = [[median(work, 3) for work in (exact, first)] for _ in range(3)]
    ours_exact, ours_first = (min(column) for column in zip(*seconds, strict=True))
    for _ in range(5):
        exact()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(META_STEPS):
        exact()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {
        "maml_exact_ms": ours_exact * 1000,
        "maml_exact_vs_loop": theirs / ours_exact,
        "maml_first_vs_loop": theirs / ours_first,
        "maml_200_steps_more_mb": grown,
    }
