"""The events of long work, and the functions that listen to them. The command line shows them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lstmcli.types import SplitCheck


@dataclass(frozen=True)
class Progress:
    """The progress of long work; ``total`` 0 where it is not known."""

    what: str
    done: int = 0
    total: int = 0


@dataclass(frozen=True)
class Noted:
    """Something the user should know, in words."""

    text: str


@dataclass(frozen=True)
class Checked:
    """The data was checked before training."""

    splits: dict[str, SplitCheck]


@dataclass(frozen=True)
class Planned:
    """The size of the training.

    seconds: none where the time was not measured; train: section train of the recipe with what follows from the amount
    of data, none where nothing does.
    """

    steps: int
    tokens: int
    parameters: int
    device: str
    precision: str
    seconds: float | None = None
    train: dict[str, Any] | None = None


@dataclass(frozen=True)
class Stepped:
    """One update of the weights. tokens: those of the batch, without padding."""

    step: int
    loss: float
    tokens: int


@dataclass(frozen=True)
class Evaluated:
    """Metrics on the validation part after an epoch, or before the first. loss: the training loss of the epoch, a mean
    over examples."""

    epoch: int
    step: int
    loss: float | None
    metrics: dict[str, float]
    is_best: bool


@dataclass(frozen=True)
class Finished:
    """The run is complete and written. metrics and baselines: on the validation part; headed: it can be used as it is,
    without texts to adapt to."""

    folder: Path
    metrics: dict[str, float]
    baselines: dict[str, float]
    seconds: float
    headed: bool


@dataclass(frozen=True)
class Searching:
    """The progress of a search: seconds of the budget that have passed, and trials. best: the figure of the best model
    so far on the validation part, by its name; empty before there is one."""

    elapsed: float
    budget: float
    trials: int
    best: dict[str, float]


@dataclass(frozen=True)
class Tried:
    """A trial of a search has ended. trial: as a line of trials.jsonl."""

    trial: dict[str, Any]


@dataclass(frozen=True)
class Searched:
    """A search has ended; the model of one of the trials is kept. budget: in seconds."""

    trials: list[dict[str, Any]]
    chosen: int
    seconds: float
    budget: float
    headline: str


@dataclass(frozen=True)
class Interrupted:
    """The run was stopped; its state is in the file. resumable: ``--resume`` goes on with it."""

    saved: Path
    resumable: bool = True


Event = (
    Progress | Noted | Checked | Planned | Stepped | Evaluated | Finished | Interrupted | Searching | Tried | Searched
)
Listener = Callable[[Event], object]  # called with each event as it happens


def silent(event: Event) -> None:
    """Listen to nothing: the default of every function that reports events."""


def noted_once(listener: Listener) -> Listener:
    """Return a listener that passes on all events but notes that it has passed on before."""
    noted: set[str] = set()

    def listen(event: Event) -> None:
        if isinstance(event, Noted):
            if event.text in noted:
                return
            noted.add(event.text)
        listener(event)

    return listen
