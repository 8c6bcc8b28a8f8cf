"""``lstmcli evaluate``."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lstmcli.cli import options


class Prior(StrEnum):
    """Class priors: those of the support, uniform, or those of the training data."""

    support = "support"
    uniform = "uniform"
    source = "source"


def evaluate(
    data: options.Data = None,
    split: Annotated[
        str | None, typer.Option("--split", metavar="NAME", help="Default: test, else what the data has.")
    ] = None,
    shots: Annotated[
        int | None,
        typer.Option(
            "--shots", metavar="K", min=1, help="Adapt a model.pt to few-shot tasks of K texts per class first."
        ),
    ] = None,
    ways: Annotated[
        int | None, typer.Option("--ways", metavar="N", min=2, help="With --shots: draw N classes for each task.")
    ] = None,
    episodes: Annotated[
        int | None,
        typer.Option("--episodes", metavar="M", min=2, help="With --shots: how many tasks to draw; default: 100."),
    ] = None,
    learner: Annotated[
        str | None,
        typer.Option(
            "--learner",
            metavar="NAME",
            help="With --shots: how to adapt; default: the learner of the model's recipe, else anchored.",
        ),
    ] = None,
    prior: Annotated[
        Prior | None,
        typer.Option("--prior", help="With --shots: the class priors of the tasks; default: support."),
    ] = None,
    dynamic: Annotated[bool, typer.Option("--dynamic", help="Language models: also with dynamic evaluation.")] = False,
    thresholds: Annotated[
        bool,
        typer.Option("--thresholds", help="Also coverage, precision, recall and error by threshold of probability."),
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            metavar="DIR",
            help="Also write report.html to look at, report.json and, without --shots, predictions.jsonl.",
        ),
    ] = None,
    checkpoint: options.Checkpoint = None,
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
    """Score a model: 95 % intervals, and baselines beside every score."""
    from lstmcli.api import evaluate as api
    from lstmcli.cli import few_shot, render
    from lstmcli.machine import malloc

    screen = render.Screen(json=json, quiet=quiet)
    reading = options.labelled(sets, maps, text_column, label_column, label_separator)
    malloc.keep(shared=False)
    with screen.listening() as listener:
        found = api.evaluate(
            checkpoint,
            data,
            split=split,
            tasks=api.Tasks(shots, ways, episodes, learner, prior),
            dynamic=dynamic,
            thresholds=thresholds,
            report=report,
            reading=reading,
            options=options.runtime(device, precision, threads),
            seed=seed or 0,
            listener=listener,
        )
    few_shot.show(screen, found)
