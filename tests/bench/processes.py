"""The gradient of a step that two processes take, against that of one: gloo, float32, the bundled reviews."""

import os
import socket
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from lstmcli import recipes
from lstmcli.events import Stepped
from lstmcli.machine.place import Place
from lstmcli.storage import examples
from lstmcli.training import setup
from lstmcli.training.group import joined
from lstmcli.training.train import Trainer

PROCESSES = 2
OVERRIDES = ("model.init=none", "model.sentence_embedding=0", "model.dropout=0", "model.word_dropout=0", "threads=1",
             "train.probe=false", "train.clip=none", "tokens.extend=false", "precision=float32")  # fmt: skip


def gradients(place: Place) -> list[Tensor]:
    """Return the gradients of the first step."""
    config = recipes.load("reviews", overrides=OVERRIDES)
    data = examples.read(config)
    with joined(place, "cpu") as group:
        trainer = Trainer(setup.prepare(config, data, None), None, data, group)
        next(islice((event for event in trainer.events() if isinstance(event, Stepped)), 0, 1))
        return [weight.grad for weight in trainer.parts.model.parameters() if weight.grad is not None]


def _one_of_several(rank: int, port: int, path: Path) -> None:
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(PROCESSES)}
    found = gradients(Place(rank, PROCESSES))
    if rank == 0:
        torch.save(found, path)


def gradient_error() -> dict[str, float]:
    """Two processes against one: the largest difference of a gradient, as a fraction of the largest gradient."""
    with TemporaryDirectory() as folder, socket.socket() as reserved:
        reserved.bind(("localhost", 0))
        port = reserved.getsockname()[1]
        reserved.close()
        path = Path(folder) / "gradients.pt"
        started = [get_context("spawn").Process(target=_one_of_several, args=(rank, port, path))
                   for rank in range(PROCESSES)]  # fmt: skip
        for process in started:
            process.start()
        expected = gradients(Place())
        for process in started:
            process.join()
        found = torch.load(path)
    largest = max(float(one.abs().max()) for one in expected)
    errors = (float((ours - one).abs().max()) for ours, one in zip(found, expected, strict=True))
    return {"ddp_gradient_error": max(errors) / largest}
