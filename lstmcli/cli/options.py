"""Options that several commands share, each declared once."""

from pathlib import Path
from typing import Annotated

import typer

from lstmcli.types import Option

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
Device = Annotated[str | None, typer.Option("--device", metavar="auto|cpu|cuda[:n]", help="Where to compute.")]
Precision = Annotated[
    str | None, typer.Option("--precision", metavar="auto|float32|bfloat16", help="auto: bfloat16 where it is fast.")
]
Threads = Annotated[
    int | None, typer.Option("--threads", metavar="N", help="CPU threads; default: all that are granted.")
]
Seed = Annotated[int | None, typer.Option("--seed", min=0, metavar="N", help="Makes the result repeatable.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON to stdout and nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no notes.")]


def given(*options: tuple[str, str, object]) -> list[Option]:
    """Those of the ``(field of the recipe, flag, value)`` that were given."""
    return [Option(key, flag, value) for key, flag, value in options if value is not None]


def learner(name: str | None, steps: int | None = None) -> list[Option]:
    """How to adapt: another learner comes with its own settings."""
    chosen = [] if name is None else [Option("learner", "--learner", {"name": name})]
    return [*chosen, *given(("learner.steps", "--steps", steps))]


def runtime(device: str | None, precision: str | None, threads: int | None) -> list[Option]:
    """Where to compute: that of the machine at hand unless it is said."""
    kept = given(("precision", "--precision", precision))
    return [*kept, Option("device", "--device", device or "auto"), Option("threads", "--threads", threads)]
