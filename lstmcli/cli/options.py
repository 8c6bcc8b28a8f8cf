"""Options that several commands share."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from lstmcli.errors import ConfigError
from lstmcli.types import Option

# Keys of section ``data`` that affect how a file is read: of any file, and of one with labels.
UNLABELLED = ("text_column", "delimiter", "quote", "encoding", "header", "word_column")
LABELLED = (*UNLABELLED, "label_column", "label_separator", "tag_column", "label_map", "domains", "bad_rows")

NEWEST = "default: the newest under ./runs, else the one that ships."
Checkpoint = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint",
        "-c",
        metavar="FILE",
        help=f"A model.pt, a run folder or a model.onnx; {NEWEST}",
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option("--checkpoint", "-c", metavar="FILE", help=f"A model.pt or a run folder; {NEWEST}"),
]
DATA = "A data set (imdb, opinions:ipod), or a file or folder (./imdb); default: "
Data = Annotated[str | None, typer.Option("--data", metavar="NAME|PATH", help=f"{DATA}what the model was trained on.")]
HeldOut = Annotated[
    str | None,
    typer.Option("--data", metavar="NAME|PATH", help=f"{DATA}the model's held-out texts, else bundled ones."),
]
TextColumn = Annotated[str | None, typer.Option("--text-column", metavar="NAME", help="Column that holds the text.")]
LabelColumn = Annotated[str | None, typer.Option("--label-column", metavar="NAME", help="Column that holds the label.")]
LabelSeparator = Annotated[
    str | None,
    typer.Option(
        "--label-separator",
        metavar="TEXT",
        help="A text can have several labels, or none: what separates them, such as ','. Needed for lists too.",
    ),
]
DataSettings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="How to read the data: data.delimiter=';', data.encoding=cp1252."),
]
Map = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="OLD=NEW,...", help="Rename labels: 1=positive,0=negative."),
]
Device = Annotated[str | None, typer.Option("--device", metavar="auto|cpu|cuda[:n]", help="Where to compute.")]
Precision = Annotated[
    str | None,
    typer.Option(
        "--precision",
        metavar="auto|float32|bfloat16",
        help="auto: float32 where ONNX Runtime scores, else bfloat16 if fast.",
    ),
]
Threads = Annotated[int | None, typer.Option("--threads", metavar="N", help="CPU threads; default: all available.")]
Seed = Annotated[int | None, typer.Option("--seed", min=0, metavar="N", help="Random seed.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON to stdout and nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no notes.")]


def given(*options: tuple[str, str, object]) -> list[Option]:
    """Return the options with a value. options: ``(key of the recipe, flag, value)``."""
    return [Option(key, flag, value) for key, flag, value in options if value is not None]


def check_alone(context: typer.Context, *free: str) -> None:
    """Raise ConfigError where the command has options and no recipe. free: names of options that it may have."""
    named = []
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name not in free and source is not None and source.name == "COMMANDLINE":
            named.append(parameter.opts[0])
    if named:
        fix = "name a recipe or data: lstmcli train opinions; list the recipes: lstmcli train"
        raise ConfigError("nothing to train", where=" ".join(named), fix=fix)


def targets(*, precision: float | None, coverage: float | None) -> list[tuple[str, str, object]]:
    """Return for ``given`` the targets by which training chooses a threshold."""
    of_precision = ("train.target_precision", "--target-precision", precision)
    return [of_precision, ("train.target_coverage", "--target-coverage", coverage)]


def keys(sets: list[str] | None, options: Sequence[Option]) -> list[str]:
    """Return the keys that the options and ``--set`` set."""
    return [option.key for option in options] + [override.partition("=")[0].strip() for override in sets or ()]


def reading(sets: list[str] | None, known: Sequence[str], *options: tuple[str, str, object]) -> dict[str, Any]:
    """Return the keys of section ``data`` that ``--set`` and then the options set. known: keys that may be set."""
    from lstmcli import recipes

    return recipes.reading(sets or (), known, given(*((f"data.{key}", flag, value) for key, flag, value in options)))


def labelled(
    sets: list[str] | None,
    maps: list[str] | None,
    text_column: str | None,
    label_column: str | None,
    label_separator: str | None = None,
) -> dict[str, Any]:
    """Return the same as ``reading``, of data with labels."""
    mapping = ("label_map", "--map", label_map(maps))
    return reading(sets, LABELLED, *columns(text_column, label_column, label_separator), mapping)


def columns(
    text_column: str | None, label_column: str | None, label_separator: str | None, *, prefix: str = ""
) -> list[tuple[str, str, object]]:
    """Return for ``reading`` the columns of data with labels; for ``given`` with the prefix of their section."""
    chosen = {"text_column": text_column, "label_column": label_column, "label_separator": label_separator}
    return [(prefix + key, f"--{key.replace('_', '-')}", value) for key, value in chosen.items()]


def label_map(maps: list[str] | None) -> dict[str, str] | None:
    """Parse ``--map``. Raises ConfigError if a part is not OLD=NEW."""
    pairs = [pair for part in maps or () for pair in part.split(",")]
    mapping: dict[str, str] = {}
    for pair in pairs:
        old, equals, new = (part.strip() for part in pair.partition("="))
        if not (old and equals and new):
            fix = "for example --map 1=positive,0=negative; if labels have commas: --set 'data.label_map={\"a, b\": c}'"
            raise ConfigError(f"'{pair}' is not OLD=NEW", where="--map", fix=fix)
        if mapping.setdefault(old, new) != new:
            raise ConfigError(
                f"'{old}' has two names: {mapping[old]}, {new}", where="--map", fix="leave out one of them"
            )
    return mapping or None


def runtime(device: str | None, precision: str | None, threads: int | None) -> list[Option]:
    """Return the options of the runtime; device and threads are this machine's by default, not the checkpoint's."""
    kept = given(("precision", "--precision", precision))
    return [*kept, Option("device", "--device", device or "auto"), Option("threads", "--threads", threads)]
