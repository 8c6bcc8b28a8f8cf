"""SNIPS: 14,484 requests to an assistant in seven intents.

Coucke et al. (2018), "Snips Voice Platform"; CC0 1.0. Two tables, ``train`` and ``validate``, with columns ``text`` and
``intent``.
"""

from pathlib import Path

from lstmcli.config import Data
from lstmcli.data.readers import by_label
from lstmcli.types import Rows

HUB = ""
SPECIMEN = {
    "train.csv": "text,intent\nplay some jazz,PlayMusic\nadd it to my list,AddToPlaylist\nwill it rain,GetWeather\n",
    "validate.csv": "text,intent\nis it cold out,GetWeather\n",
}

splits = by_label.splits


def read(root: Path, split: str, options: Data) -> Rows:
    """All requests of the split, as ``by_label.read``."""
    return by_label.read(root, split, options, column="intent", label_of=lambda intent: str(intent or ""))
