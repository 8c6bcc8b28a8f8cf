"""GoEmotions: comments from Reddit with one of 27 emotions, or neutral.

Demszky et al. (2020), "GoEmotions: A Dataset of Fine-Grained Emotions"; CC BY 4.0. Tables ``train``, ``dev`` and
``test`` with columns ``text`` and ``labels``, a list; only texts with exactly one label are read (36,201, 4,538
and 4,590).
"""

from pathlib import Path

from lstmcli.config import Data
from lstmcli.data.readers import by_label
from lstmcli.types import Rows

HUB = ""
SPECIMEN = {
    "train.jsonl": '{"text": "you made my day", "labels": ["joy"]}\n{"text": "that one", "labels": ["neutral"]}\n'
    '{"text": "wow, thanks", "labels": ["surprise", "gratitude"]}\n',
    "dev.jsonl": '{"text": "how could they", "labels": ["anger"]}\n',
    "test.jsonl": '{"text": "what a day", "labels": ["joy"]}\n',
}

splits = by_label.splits


def read(root: Path, split: str, options: Data) -> Rows:
    """Return the split's texts with one label, as ``by_label.read``."""
    return by_label.read(root, split, options, column="labels", label_of=_only)


def _only(labels: object) -> str:
    return str(labels[0]) if isinstance(labels, list) and len(labels) == 1 else ""
