"""Opinions on 14 products: 3,734 sentences of customers' reviews, positive or negative; part of the package.

Hu & Liu (2004), "Mining and Summarizing Customer Reviews", and Ding, Liu & Yu (2008), "A Holistic Lexicon-Based
Approach to Opinion Mining"; CC BY 4.0 (``ATTRIBUTION.md`` beside the data). One table ``product_reviews`` with columns
``text``, ``label`` (1, 0) and ``product``. A product lies whole in one split, so that a test score is one of new
products: a camera and a music player, of whose kinds train has others, and two unlike any in train. An example's domain
is its product.
"""

from pathlib import Path

from lstmcli.config import Data
from lstmcli.data import rows
from lstmcli.errors import DataError
from lstmcli.types import Example, Rows

HUB = ""
BUNDLED = Path(__file__).parents[1] / "bundled" / "opinions"
FILES = "product_reviews.*"
PRODUCTS = {
    "Apex_AD2600_Progressive_scan_DVD player": "apex-ad2600",
    "Canon_G3": "canon-g3",
    "Canon_PowerShot_SD500": "canon-sd500",
    "Canon_S100": "canon-s100",
    "Creative_Labs_Nomad_Jukebox_Zen_Xtra_40GB": "zen-xtra",
    "Diaper_Champ": "diaper-champ",
    "Hitachi_router": "hitachi-router",
    "Linksys_Router": "linksys-router",
    "MicroMP3": "micro-mp3",
    "Nikon_coolpix_4300": "nikon-4300",
    "Nokia_6600": "nokia-6600",
    "Nokia_6610": "nokia-6610",
    "ipod": "ipod",
    "norton": "norton",
}
DOMAINS = tuple(PRODUCTS.values())
HELD_OUT = ("ipod", "canon-s100", "diaper-champ", "norton")  # the products of test
LABELS = {"1": "positive", "0": "negative"}
SPECIMEN = {
    "product_reviews.csv": "text,label,product\nthe remote is a joy .,1,Canon_G3\nit froze twice .,0,Canon_G3\n"
    '"no smell , no mess .",1,Diaper_Champ\n',
}


def splits(root: Path) -> tuple[str, ...]:
    """Return the splits that the folder holds."""
    return ("train", "test") if _files(root) else ()


def read(root: Path, split: str, options: Data) -> Rows:
    """All sentences on the split's products.

    Raises:
        DataError: no such split, or a file that cannot be read.
    """
    if split not in splits(root):
        raise DataError(f"no split '{split}'", where=str(root), fix="it has: train, test")
    path = _files(root)[0]
    examples: list[Example] = []
    bad: list[tuple[str, str]] = []
    for row in rows.stream(path, Data(), labelled=True):
        where = f"{path}:{row.line}"
        text, problem = rows.text_of(row, "text")
        label = str(row.values.get("label"))
        product = str(row.values.get("product"))
        domain = PRODUCTS.get(product, product)
        if problem or label not in LABELS:
            bad.append((where, problem or f"label '{label}' is none of {', '.join(LABELS)}"))
        elif (domain in HELD_OUT) == (split == "test") and (not options.domains or domain in options.domains):
            examples.append(Example(text, LABELS[label], domain, where))
    return Rows(examples, bad)


def _files(root: Path) -> list[Path]:
    return sorted(root.glob(FILES)) if root.is_dir() else []
