"""The search for the best recipe within a budget of time: ``train --budget``. Without torch until it begins."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from lstmcli.config import RunConfig
from lstmcli.errors import ConfigError
from lstmcli.events import Listener, silent
from lstmcli.search import limits, space
from lstmcli.search.limits import Clock
from lstmcli.storage.examples import Inputs


@dataclass(frozen=True)
class Limits:
    """Of a search. clock: it runs; max_bytes: of the model.pt, None: any."""

    clock: Clock
    max_bytes: int | None = None


def limits_of(config: RunConfig, budget: str | float | None, max_size: str | float | None) -> Limits:
    """Return the limits, whose clock begins to run.

    Args:
        config: The recipe that the search begins with.
        budget: A duration such as 10m, or seconds.
        max_size: A file size such as 3MB, or bytes; None: any.

    Raises:
        RuntimeSetupError: Optuna is not installed.
        ConfigError: A limit is none, or the recipe is not one of labels of whole texts.
    """
    limits.check_installed()
    if budget is None:
        fix = f"give the time to search for a model of that size: {limits.BUDGET} 10m {limits.MAX_SIZE} {max_size}"
        raise ConfigError("a size is a limit of a search", where=f"{limits.MAX_SIZE} {max_size}", fix=fix)
    found = Limits(Clock(limits.seconds(budget)), None if max_size is None else limits.size(max_size))
    space.check(config)
    return found


def run(
    config: RunConfig,
    inputs: Inputs,
    out: Path,
    limits: Limits,
    *,
    resume: bool = False,
    pinned: Collection[str] = (),
    listener: Listener = silent,
) -> None:
    """Search, as ``lstmcli.search.search.run`` describes, and leave the state of the process as it was."""
    from lstmcli.machine import runtime  # torch starts here
    from lstmcli.search import search

    with runtime.unchanged(config):
        search.run(config, inputs, out, clock=limits.clock, max_bytes=limits.max_bytes, resume=resume, pinned=pinned,
                   listener=listener)  # fmt: skip
