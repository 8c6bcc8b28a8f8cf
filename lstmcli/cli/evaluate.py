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
    from lstmcli.engine import folder, inputs

    screen = render.Screen(json=json, quiet=quiet)
    if report is not None:
        folder.claim_file(report / "report.json")
    loaded, path = screen.checkpoint(checkpoint, options.runtime(device, precision, threads))
    columns = options.given(
        ("text_column", "--text-column", text_column), ("label_column", "--label-column", label_column)
    )
    source = inputs.named(data, loaded.config.data, columns)
    name, examples = screen.watch(inputs.to_score(source, split, loaded.config))

    from lstmcli.engine import evaluate as engine

    result = screen.watch(
        engine.run(loaded, examples, data=inputs.title(source), split=name, path=path, seed=seed or 0)
    )
    screen.report(result)
    if report is not None:
        engine.write(result, report)
