"""Small private text models from the shell and from Python: ``from lstmcli import load, fit``."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lstmcli.api import Model, fit, load

__all__ = ["Model", "fit", "load"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import the library when one of its names is first used: torch takes a second to load."""
    if name not in __all__:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from lstmcli import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
