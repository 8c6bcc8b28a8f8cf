"""Several processes that train one model, started by ``torchrun``: which of them this is. Without torch."""

import os
from dataclasses import dataclass

from lstmcli import registry
from lstmcli.config import RunConfig
from lstmcli.errors import ConfigError

VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # that torchrun sets


@dataclass(frozen=True)
class Place:
    """The number of this process, from 0, among how many, and among those of its machine."""

    rank: int = 0
    count: int = 1
    local: int = 0

    @property
    def is_first(self) -> bool:
        """True for the process that writes and reports."""
        return self.rank == 0


def of_environment() -> Place:
    """Return the place by the environment; that of the only process where torchrun has not set it."""
    values = [os.environ.get(name, "") for name in VARIABLES]
    if not all(values) or not all(value.isdecimal() for value in values[:2]):
        return Place()
    local = os.environ.get("LOCAL_RANK", "0")
    return Place(int(values[0]), int(values[1]), int(local) if local.isdecimal() else 0)


def check(config: RunConfig, here: Place, *, searches: bool = False) -> None:
    """Raise ConfigError where several processes cannot train such a model. searches: for the best recipe."""
    if here.count == 1:
        return
    where = f"WORLD_SIZE={here.count}"
    fix = "train it in one process: lstmcli train, without torchrun"
    if config.data.name in registry.PROBLEMS:
        raise ConfigError("the benchmark of optimisers runs in one process", where=where, fix=fix)
    train = config.train
    of_unlabelled = (train.vat_epsilon or train.entropy_weight) is not None
    reasons = {
        "a search for the best recipe runs in one process": searches,
        "episodes are drawn for one process": config.episodes is not None,
        "a language model carries its state from batch to batch": registry.task(config.task).READS == "stream",
        "virtual adversarial training and entropy of texts without labels run in one process": of_unlabelled,
    }
    for what, applies in reasons.items():
        if applies:
            raise ConfigError(what, where=where, fix=fix)
    if ":" in config.device:
        fix = "name no number, each process takes a device of its own: --device cuda"
        raise ConfigError("all processes would use one device", where=f"--device {config.device}, {where}", fix=fix)
