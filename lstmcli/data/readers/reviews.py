"""The bundled reviews: 480 short reviews in six domains, written for this project.

Original and hard: rich in irony and understatement, so that words alone say little.
"""

from pathlib import Path

from lstmcli.config import Data
from lstmcli.data.readers import table
from lstmcli.types import Rows

HUB = ""
BUNDLED = Path(__file__).parents[1] / "bundled" / "reviews"
DOMAINS = ("films", "books", "kitchen", "phones", "restaurants", "hotels")
SPECIMEN = {
    "train.jsonl": '{"text": "A kettle that sings.", "label": "positive", "domain": "kitchen"}\n'
    '{"text": "It leaks.", "label": "negative", "domain": "kitchen"}\n',
}

splits = table.splits


def read(root: Path, split: str, options: Data) -> Rows:
    """As ``table.read``; the columns of the bundled files are known."""
    known = {"text_column": "text", "label_column": "label"} if root == BUNDLED else {}
    return table.read(root, split, options.model_copy(update=known))
