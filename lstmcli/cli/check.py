"""``lstmcli check``."""

from pathlib import Path
from typing import Annotated

import typer

from lstmcli.cli import options


def check(
    data: Annotated[
        str, typer.Argument(metavar="FILE|NAME", help="A file or folder of labelled texts, or a data set (hwu64).")
    ],
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="Write all findings: .jsonl, .csv or .tsv.")
    ] = None,
    fix: Annotated[
        Path | None,
        typer.Option(
            "--fix",
            metavar="OUT",
            help="Write the data again without exact duplicates and with the surest suggested labels: "
            ".csv, .tsv or .jsonl; for several splits a folder.",
        ),
    ] = None,
    text_column: options.TextColumn = None,
    label_column: options.LabelColumn = None,
    label_separator: options.LabelSeparator = None,
    sets: options.DataSettings = None,
    maps: options.Map = None,
    device: options.Device = None,
    precision: options.Precision = None,
    threads: options.Threads = None,
    seed: options.Seed = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Find label errors, copies, contradictions and outliers in labelled texts, and what more data would bring."""
    from lstmcli.api import check as api
    from lstmcli.cli import findings, render
    from lstmcli.machine import malloc

    screen = render.Screen(json=json, quiet=quiet)
    reading = options.labelled(sets, maps, text_column, label_column, label_separator)
    malloc.keep(shared=False)
    with screen.listening() as listener:
        found = api.check(
            data,
            report=report,
            fix=fix,
            reading=reading,
            options=options.runtime(device, precision, threads),
            seed=seed or 0,
            listener=listener,
        )
    findings.show(screen, found)
