"""The recipe of a model for work on texts in memory."""

from lstmcli.config import RunConfig
from lstmcli.machine import runtime


def uncached(config: RunConfig) -> RunConfig:
    """Return the config without a cache, and with the threads that torch would use where it names no number."""
    data = config.data.model_copy(update={"cache": False})
    return config.model_copy(update={"data": data, "threads": config.threads or runtime.threads()})
