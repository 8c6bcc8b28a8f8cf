"""``lstmcli predict``."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lstmcli.cli import options


class Format(StrEnum):
    """Formats of an input without a suffix."""

    csv = "csv"
    tsv = "tsv"
    jsonl = "jsonl"
    txt = "txt"
    conll = "conll"


def predict(
    texts: Annotated[list[str] | None, typer.Argument(metavar="TEXT", help="Texts to label.")] = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--input",
            "-i",
            metavar="FILE|-",
            help="A .txt (a text per line), .csv, .tsv, .jsonl, .json, .parquet, .arrow, .feather, .xlsx, .ods or "
            ".conll, compressed too; -: standard input, a text per line.",
        ),
    ] = None,
    kind: Annotated[
        Format | None, typer.Option("--format", help="Format of --input if its name has no suffix or another one.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write a .jsonl, .csv, .tsv, .parquet or, by a tagger, .conll."
        ),
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(
            "--keep",
            metavar="COLUMNS|all",
            help="Copy columns of a table to the output: id,shop. A name that the answers use gets the suffix _input.",
        ),
    ] = None,
    min_confidence: Annotated[
        float | None,
        typer.Option(
            "--min-confidence",
            metavar="P",
            help="Leave the label empty below this probability; default: as chosen in training, else 0.",
        ),
    ] = None,
    thresholds: Annotated[
        list[str] | None,
        typer.Option(
            "--threshold",
            metavar="LABEL=P",
            help="Give this label from the probability P on, else the likeliest other (where a text has several "
            "labels: in place of its own threshold); may be repeated.",
        ),
    ] = None,
    coverage: Annotated[
        float | None,
        typer.Option(
            "--sets", metavar="P", help="Add the set of labels that contains the true one with probability P: 0.9."
        ),
    ] = None,
    in_scope: Annotated[
        float | None,
        typer.Option(
            "--in-scope",
            metavar="P",
            help="Add in_scope: whether a text resembles those of training; true for a fraction P of such texts: 0.95.",
        ),
    ] = None,
    explained: Annotated[
        bool, typer.Option("--explain", help="Show the contribution of each word to the label.")
    ] = False,
    select: Annotated[
        int | None,
        typer.Option("--select", metavar="N", min=1, help="Write the N texts most worth labelling, for adapt."),
    ] = None,
    text_column: options.TextColumn = None,
    sets: options.DataSettings = None,
    skip_bad: Annotated[
        bool,
        typer.Option(
            "--skip-bad", help="Leave out rows without a usable text and blank lines; default: an empty answer."
        ),
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first row that cannot be used.")] = False,
    checkpoint: options.Checkpoint = None,
    device: options.Device = None,
    precision: options.Precision = None,
    threads: options.Threads = None,
    seed: options.Seed = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Label texts, with calibrated probabilities.

    Each row or line gets one answer, in order, with its number from 1 (row). A blank line, or a row that cannot be
    used, gets an empty answer with the reason (problem).
    """
    from lstmcli.api import predict as api
    from lstmcli.cli import answers, render
    from lstmcli.machine import malloc

    screen = render.Screen(json=json, quiet=quiet)
    reading = options.reading(sets, options.UNLABELLED, ("text_column", "--text-column", text_column))
    rows = api.TextOptions(source, f".{kind}" if kind else "", reading, keep, strict, skip_bad)
    decisions = api.DecisionOptions(min_confidence, api.parsed(thresholds or []), coverage, in_scope)
    malloc.keep(shared=False)
    with screen.listening() as listener:
        found = api.predict(
            texts or [],
            rows,
            model=checkpoint,
            output=output,
            decisions=decisions,
            explained=explained,
            select=select,
            seed=seed or 0,
            options=options.runtime(device, precision, threads),
            listener=listener,
        )
    answers.show(screen, found)
