"""MAMS: sentences about restaurants, positive or negative.

Jiang et al. (2019), "A Challenge Dataset and Effective Models for Aspect-Based Sentiment Analysis"; Apache-2.0. Tables
``train``, ``val`` and ``test`` with columns ``text`` and ``polarities``: those of a sentence's aspects, with commas.
Sentences with aspects of both signs, or of none, are left out; 3,591, 412 and 428 remain.
"""

from pathlib import Path

from lstmcli.config import Data
from lstmcli.data.readers import by_label
from lstmcli.types import Rows

HUB = ""
SPECIMEN = {
    "train.csv": 'text,polarities\nthe soup was a joy at noon,"neutral,positive"\nwe waited long,"negative,neutral"\n'
    'dear but good,"negative,positive"\n',
    "val.csv": 'text,polarities\nthe bread was stale at noon,"negative,neutral"\n',
    "test.csv": 'text,polarities\na kind waiter on a full night,"neutral,positive"\n',
}

splits = by_label.splits


def read(root: Path, split: str, options: Data) -> Rows:
    """Return the split's sentences of one sign, as ``by_label.read``."""
    return by_label.read(root, split, options, column="polarities", label_of=_sign)


def _sign(polarities: object) -> str:
    signs = {"negative", "positive"} & set(str(polarities).split(","))
    return signs.pop() if len(signs) == 1 else ""
