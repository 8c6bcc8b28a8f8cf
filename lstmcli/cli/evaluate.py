"""``lstmcli evaluate``."""

from pathlib import Path
from typing import Annotated

import typer

from lstmcli.cli import options


def evaluate(
    data: options.Data = None,
    split: Annotated[
        str | None, typer.Option("--split", metavar="NAME", help="Default: test, else what the data has.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="DIR", help="Also write report.json and predictions.jsonl.")
    ] = None,
    checkpoint: options.Checkpoint = None,
    text_column: options.TextColumn = None,
    label_column: options.LabelColumn = None,
    device: options.Device = None,
    precision: options.Precision = None,
    threads: options.Threads = None,
    seed: options.Seed = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Score a model: 95 % intervals, and baselines beside every score."""
    from lstmcli.cli import render
    from lstmcli.engine import inputs

    screen = render.Screen(json=json, quiet=quiet)
    given = options.overrides(
        data__text_column=text_column, data__label_column=label_column,
        device=device, precision=precision, threads=threads, seed=seed,
    )  # fmt: skip
    loaded, path = screen.checkpoint(checkpoint, given)
    source = inputs.named(data, loaded.config.data)
    name, examples = screen.watch(inputs.to_score(source, split, loaded.config, own=data is None))

    from lstmcli.engine import evaluate as engine

    result = screen.watch(engine.run(loaded, examples, data=data or source.name, split=name, path=path))
    if report is not None:
        engine.write(result, report)
    screen.report(result)
