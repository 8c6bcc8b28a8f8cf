"""Train a model, or run the benchmark of optimisers, as a recipe says. Without torch until the data has been read."""

from collections.abc import Collection
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from lstmcli import registry
from lstmcli.config import RunConfig
from lstmcli.errors import ConfigError
from lstmcli.events import Listener, silent
from lstmcli.machine import place
from lstmcli.storage import examples as inputs
from lstmcli.storage import run_folder
from lstmcli.storage.run_folder import default

if TYPE_CHECKING:
    from lstmcli.race.race import Race

__all__ = ["default", "train"]


def train(
    config: RunConfig,
    out: Path,
    *,
    resume: bool = False,
    force: bool = False,
    dry_run: bool = False,
    chosen: Collection[str] = (),
    listener: Listener = silent,
) -> "Race | None":
    """Read the data, train, and write the run into the folder; return the result of a benchmark of optimisers.

    Ctrl-C saves the run, reports Interrupted, and raises KeyboardInterrupt; after SIGTERM
    SystemExit. The processes that ``torchrun`` has started train one model; the first reports and writes.

    Args:
        config: Of ``lstmcli.recipes.load``.
        out: The folder; ``default`` names one by the recipe.
        resume, force: Continue an interrupted run; write over an existing one.
        dry_run: Stop after the first steps, report Planned with the time of the rest, and write nothing.
        chosen: Keys of the recipe that the user set: a resumed run may get another length only by these.
        listener: Called with each event.

    Raises:
        ConfigError: the folder has a run, or none to resume; a model that the recipe names is missing; or several
            processes cannot train such a model.
        DataError: the data cannot be used.
    """
    benchmark = config.data.name in registry.PROBLEMS
    if resume and benchmark:
        fix = "leave out --resume; to start again: --force"
        raise ConfigError("an optimiser benchmark cannot be resumed", where="--resume", fix=fix)
    here = place.of_environment()
    place.check(config, here)
    listener = listener if here.is_first else silent
    writes = here.is_first and not dry_run
    claimed = run_folder.claimed(out, config.data, resume=resume, force=force) if writes else nullcontext()
    with claimed:
        if benchmark:
            return _benchmark(config, out, listener, dry_run=dry_run)
        if not resume:
            run_folder.check_models(config, out)
        _learn(config, out, here, resume=resume, dry_run=dry_run, chosen=chosen, listener=listener)
    return None


def reports() -> bool:
    """Return True in the process that reports: the only one, or the first of those that ``torchrun`` has started."""
    return place.of_environment().is_first


def _learn(
    config: RunConfig,
    out: Path,
    here: place.Place,
    *,
    resume: bool,
    dry_run: bool,
    chosen: Collection[str],
    listener: Listener,
) -> None:
    examples = [inputs.read(config, listener=listener)]

    from lstmcli.machine import runtime  # torch starts here, after every cheap mistake is caught
    from lstmcli.training.group import joined
    from lstmcli.training.train import rehearse, run

    # The run lets the examples go once they are encoded: no name holds them here.
    with joined(here, config.device) as group, runtime.unchanged(config):
        if dry_run:
            rehearse(config, examples.pop(), group=group, listener=listener)
        else:
            run(config, examples.pop(), out, resume=resume, chosen=chosen, group=group, listener=listener)


def _benchmark(config: RunConfig, out: Path, listener: Listener, *, dry_run: bool) -> "Race | None":
    from lstmcli.machine import runtime
    from lstmcli.race import race

    with runtime.unchanged(config):
        if not dry_run:
            return race.run(config, out, listener=listener)
        race.rehearse(config, listener=listener)
    return None
