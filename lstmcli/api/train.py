"""Train a model, or run the benchmark of optimisers, by a recipe. Without torch until the data has been read."""

from collections.abc import Collection
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from lstmcli import registry, search
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
    budget: str | float | None = None,
    max_size: str | float | None = None,
    listener: Listener = silent,
) -> "Race | None":
    """Read the data, train, and write the run into the folder; return the result of a benchmark of optimisers.

    Ctrl-C saves the run, reports Interrupted, and raises KeyboardInterrupt; after SIGTERM
    SystemExit. The processes that ``torchrun`` has started train one model; the first reports and writes.

    Args:
        config: Of ``lstmcli.recipes.load``.
        out: The folder; ``default`` names one by the recipe.
        resume, force: Continue an interrupted run; write over an existing one.
        dry_run: Stop after the first steps of the recipe, report Planned with the time of the rest, and write nothing.
        chosen: Keys that the user set: a search keeps them, and a resumed run may get another length only by these.
        budget, max_size: Search for the best recipe so long ("10m", or seconds), of a file so large ("3MB", or bytes).
        listener: Called with each event.

    Raises:
        ConfigError: the folder has a run, or none to resume; a model that the recipe names is missing; or several
            processes cannot train such a model.
        DataError, RuntimeSetupError: the data cannot be used; a search needs Optuna, which is not installed.
    """
    limits = None if budget is None and max_size is None else search.limits_of(config, budget, max_size)
    benchmark = config.data.name in registry.PROBLEMS
    here = place.of_environment()
    place.check(config, here, searches=limits is not None)
    _check_resumable(resume=resume, benchmark=benchmark)
    listener = listener if here.is_first else silent
    state = run_folder.LAST if limits is None else run_folder.TRIALS
    claimed = run_folder.claimed(out, config.data, resume=resume, force=force, state=state)
    with claimed if here.is_first and not dry_run else nullcontext():
        if benchmark:
            return _benchmark(config, out, listener, dry_run=dry_run)
        if not resume:
            run_folder.check_models(config, out)
        if limits is not None and not dry_run:
            examples = inputs.read(config, listener=listener)
            search.run(config, examples, out, limits, resume=resume, pinned=chosen, listener=listener)
        else:
            _learn(config, out, here, resume=resume, dry_run=dry_run, chosen=chosen, listener=listener)
    return None


def _check_resumable(*, resume: bool, benchmark: bool) -> None:
    if resume and benchmark:
        fix = "leave out --resume; to start again: --force"
        raise ConfigError("an optimiser benchmark cannot be resumed", where="--resume", fix=fix)


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
