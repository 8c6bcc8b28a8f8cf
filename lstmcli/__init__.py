"""Small private text models from the shell and from Python: ``from lstmcli import load, fit``."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lstmcli.api.check import check, check_texts
    from lstmcli.api.export import export
    from lstmcli.api.fit import fit
    from lstmcli.api.load import load
    from lstmcli.api.model import Model

__all__ = ["Model", "check", "check_texts", "export", "fit", "load"]
_MODULES = {"Model": "model", "check_texts": "check"}  # of ``api``; of another name one of that name
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import the library when one of its names is first used: torch takes a second to load."""
    if name not in __all__:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(f"lstmcli.api.{_MODULES.get(name, name)}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
