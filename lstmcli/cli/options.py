"""Options that several commands share, each declared once."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from lstmcli.errors import ConfigError
from lstmcli.types import Option

# Fields of section ``data`` that decide how a file is read: all files, and those with labels.
UNLABELLED = ("text_column", "delimiter", "quote", "encoding", "header", "word_column")
LABELLED = (*UNLABELLED, "label_column", "tag_column", "label_map", "domains", "bad_rows")

Checkpoint = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint",
        "-c",
        metavar="FILE",
        help="A model.pt; default: the newest under ./runs, else the one that ships.",
    ),
]
Data = Annotated[
    str | None,
    typer.Option(
        "--data", metavar="NAME|PATH", help="A data set (imdb, reviews:hotels), or a file or folder (./imdb)."
    ),
]
TextColumn = Annotated[str | None, typer.Option("--text-column", metavar="NAME", help="Column that holds the text.")]
LabelColumn = Annotated[str | None, typer.Option("--label-column", metavar="NAME", help="Column that holds the label.")]
DataSettings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="How to read the data: data.delimiter=';', data.encoding=cp1252."),
]
Map = Annotated[
    list[str] | None,
    typer.Option(
        "--map", metavar="OLD=NEW,...", help="Labels of the data to the model's names: 1=positive,0=negative."
    ),
]
Device = Annotated[str | None, typer.Option("--device", metavar="auto|cpu|cuda[:n]", help="Where to compute.")]
Precision = Annotated[
    str | None, typer.Option("--precision", metavar="auto|float32|bfloat16", help="auto: bfloat16 where it is fast.")
]
Threads = Annotated[int | None, typer.Option("--threads", metavar="N", help="CPU threads; default: all available.")]
Seed = Annotated[int | None, typer.Option("--seed", min=0, metavar="N", help="Makes the result repeatable.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON to stdout and nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no notes.")]


def given(*options: tuple[str, str, object]) -> list[Option]:
    """Those of the ``(field of the recipe, flag, value)`` that were given."""
    return [Option(key, flag, value) for key, flag, value in options if value is not None]


def reading(sets: list[str] | None, known: Sequence[str], *options: tuple[str, str, object]) -> dict[str, Any]:
    """The fields of section ``data`` that ``--set`` and then the options set; ``known``: those that may be set."""
    from lstmcli import recipes

    return recipes.reading(sets or (), known, given(*((f"data.{key}", flag, value) for key, flag, value in options)))


def labelled(
    sets: list[str] | None, maps: list[str] | None, text_column: str | None, label_column: str | None
) -> dict[str, Any]:
    """As ``reading``, of data with labels."""
    columns = ("text_column", "--text-column", text_column), ("label_column", "--label-column", label_column)
    return reading(sets, LABELLED, *columns, ("label_map", "--map", label_map(maps)))


def label_map(maps: list[str] | None) -> dict[str, str] | None:
    """The mapping that ``--map`` names. Raises ConfigError where it is none."""
    pairs = [pair for part in maps or () for pair in part.split(",")]
    found: dict[str, str] = {}
    for pair in pairs:
        old, equals, new = (part.strip() for part in pair.partition("="))
        if not (old and equals and new):
            fix = "for example --map 1=positive,0=negative; of labels with commas: --set 'data.label_map={\"a, b\": c}'"
            raise ConfigError(f"'{pair}' is not OLD=NEW", where="--map", fix=fix)
        if found.setdefault(old, new) != new:
            raise ConfigError(f"'{old}' has two names: {found[old]}, {new}", where="--map", fix="leave out one of them")
    return found or None


def learner(name: str | None, steps: int | None = None) -> list[Option]:
    """How to adapt: another learner comes with its own settings."""
    chosen = [] if name is None else [Option("learner", "--learner", {"name": name})]
    return [*chosen, *given(("learner.steps", "--steps", steps))]


def runtime(device: str | None, precision: str | None, threads: int | None) -> list[Option]:
    """Where to compute: that of this machine unless it is said."""
    kept = given(("precision", "--precision", precision))
    return [*kept, Option("device", "--device", device or "auto"), Option("threads", "--threads", threads)]
