"""``lstmcli predict``."""

from pathlib import Path
from typing import Annotated

import typer

from lstmcli.cli import options


def predict(
    texts: Annotated[list[str] | None, typer.Argument(metavar="[TEXT]...", help="Texts to label.")] = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--input",
            "-i",
            metavar="FILE|-",
            help="A .txt (a text a line), .csv, .tsv, .jsonl or .parquet; -: standard input.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write a .jsonl, .csv or .parquet.")
    ] = None,
    text_column: options.TextColumn = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first row that cannot be used.")] = False,
    checkpoint: options.Checkpoint = None,
    device: options.Device = None,
    precision: options.Precision = None,
    threads: options.Threads = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Label texts, with calibrated probabilities."""
    from lstmcli.cli import render
    from lstmcli.engine import texts as engine_texts

    screen = render.Screen(json=json, quiet=quiet)
    stream = engine_texts.Texts(texts or [], source, column=text_column, strict=strict)
    if output is not None:
        engine_texts.check_sink(output, source)
    loaded, _ = screen.checkpoint(checkpoint, options.runtime(device, precision, threads))

    from lstmcli.engine.predict import Predictions

    predictions = Predictions(loaded).of(stream.windows())
    if output is None:
        screen.predictions(predictions, stream)
    else:
        with engine_texts.sink(output) as put:  # Ctrl-C keeps what is finished
            screen.predictions(predictions, stream, put=put)
    screen.end(output)
