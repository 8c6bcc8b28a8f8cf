"""CLINC150: 22,500 requests in 150 intents of ten domains, for episodes over classes never seen in training.

Larson et al. (2019), "An Evaluation Dataset for Intent Classification and Out-of-Scope Prediction". The authors'
``data_full.json``: an object with lists ``train``, ``val`` and ``test`` of ``[text, intent]``; CC BY 3.0. They are read
together, without the texts that are out of scope, and split again by class: 90 to train on, 20 to validate, 40 to test.
"""

import json
from pathlib import Path

from lstmcli.config import Data
from lstmcli.data import rows
from lstmcli.data.readers import intents
from lstmcli.errors import DataError
from lstmcli.types import Example, Rows

HUB = ""
FILE = "data_full.json"
SPECIMEN = {
    FILE: '{"train": [["wake me at six", "alarm"], ["will it rain", "weather"], ["pay my bill", "pay_bill"]],\n'
    '"val": [["set an alarm", "alarm"]], "test": [["is it cold out", "weather"], ["settle the bill", "pay_bill"]]}\n',
}
CLASSES = {"train": 90, "validation": 20, "test": 40}


def splits(root: Path) -> tuple[str, ...]:
    """Return the splits that the folder holds."""
    return tuple(CLASSES) if (root / FILE).is_file() else ()


def read(root: Path, split: str, options: Data) -> Rows:
    """All requests of the split's classes.

    Raises:
        DataError: no such split, or a file that cannot be read.
    """
    return intents.chosen(_everything(root / FILE), split, options, sizes=CLASSES, root=root)


def _everything(path: Path) -> Rows:
    found, bad = [], []
    fix = "fetch data_full.json of clinc/oos-eval again"
    try:
        content = json.loads(path.read_bytes())
        lists = [(name, content[name]) for name in ("train", "val", "test")]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError("not the file of CLINC150, or a damaged one", where=str(path), fix=fix) from error
    for name, pairs in lists:
        for number, pair in enumerate(pairs if isinstance(pairs, list) else [pairs], 1):
            where = f"{path}:{name}[{number}]"
            if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair)):
                bad.append((where, "not a pair of text and intent"))
            elif not pair[0].strip() or not pair[1].strip() or any(map(rows.broken, pair)):
                bad.append((where, "no text, no intent, or half of a surrogate pair"))
            else:
                found.append(Example(pair[0], pair[1], "", where))
    return Rows(found, bad)
