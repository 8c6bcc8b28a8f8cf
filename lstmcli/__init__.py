"""Small private text models from the shell and from Python: ``from lstmcli import load, fit``."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lstmcli.api.fit import fit
    from lstmcli.api.model import Model, load

__all__ = ["Model", "fit", "load"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import the library when one of its names is first used: torch takes a second to load."""
    if name not in __all__:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from lstmcli.api import fit, model

    return getattr(fit if name == "fit" else model, name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
