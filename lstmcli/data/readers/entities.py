"""The bundled sentences with named entities, written for this project: small, original, for first looks and tests."""

from pathlib import Path

from lstmcli.data.readers.conll2003 import SPECIMEN, read, splits

HUB = ""
BUNDLED = Path(__file__).parents[1] / "bundled" / "entities"

__all__ = ["BUNDLED", "HUB", "SPECIMEN", "read", "splits"]
