"""HWU64: 11,106 requests to a home assistant in 64 intents of 18 scenarios, for episodes over classes never seen in
training; part of the package.

Liu et al. (2019), "Benchmarking Natural Language Understanding Services for Building Conversational Agents"; CC BY 4.0
(``ATTRIBUTION.md`` beside the data; 40 texts fewer are bundled). Three tables, ``train``, ``valid`` and ``test``, with
columns ``text`` and ``label``. They are read together and split again by class: 38 to train on, 10 to validate, 16 to
test. The domains that ``--data hwu64:transport`` selects are the scenarios that open the names of intents; examples
have none, so that a task draws its classes from all scenarios.
"""

from dataclasses import replace
from pathlib import Path

from lstmcli.config import Data
from lstmcli.data.readers import intents, table
from lstmcli.types import Example, Rows

HUB = ""
BUNDLED = Path(__file__).parents[1] / "bundled" / "hwu64"
DOMAINS = (
    *("alarm", "audio", "calendar", "cooking", "datetime", "email", "general", "iot", "lists", "music", "news", "play"),
    *("qa", "recommendation", "social", "takeaway", "transport", "weather"),
)
CLASSES = {"train": 38, "validation": 10, "test": 16}
SPECIMEN = {
    "train.csv": "text,label\nwake me at six,alarm_set\nplay some jazz,play_music\nwill it rain,weather_query\n",
    "valid.csv": "text,label\nset an alarm,alarm_set\n",
    "test.csv": "text,label\nis it cold out,weather_query\nput on a song,play_music\n",
}


def splits(root: Path) -> tuple[str, ...]:
    """Return the splits that the folder holds."""
    return tuple(CLASSES) if set(table.splits(root)) == set(CLASSES) else ()


def read(root: Path, split: str, options: Data) -> Rows:
    """All requests of the split's classes.

    Raises:
        DataError: no such split, or a file that cannot be read.
    """
    parts = [table.read(root, name, Data()) for name in table.splits(root)]
    found = Rows([example for part in parts for example in part.examples], [bad for part in parts for bad in part.bad])
    chosen = intents.chosen(found, split, options.model_copy(update={"domains": ()}), sizes=CLASSES, root=root)
    if not options.domains:
        return chosen
    return replace(chosen, examples=[one for one in chosen.examples if _scenario(one) in options.domains])


def _scenario(example: Example) -> str:
    return str(example.target).partition("_")[0]
