"""``lstmcli adapt``."""

from pathlib import Path
from typing import Annotated

import typer

from lstmcli.cli import options


def adapt(
    shots: Annotated[
        int, typer.Option("--shots", metavar="K", min=1, help="Labelled texts per class to learn from.")
    ] = 5,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="NAME|PATH",
            help="Labelled texts: a data set (imdb), or a file or folder (./imdb); default: bundled opinions on a "
            "product that the model has not seen.",
        ),
    ] = None,
    learner: Annotated[
        str | None,
        typer.Option(
            "--learner",
            metavar="NAME",
            help="How to adapt; default: the learner of the model's recipe, else anchored.",
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps",
            metavar="N",
            min=0,
            help="Gradient steps of the learner; without --learner: of that of the model's recipe, else of finetune. "
            "Default: by cross-validation.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Default: adapted.pt beside the checkpoint.")
    ] = None,
    checkpoint: options.Weights = None,
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
    """Adapt a model to a new domain with a few labelled texts per class."""
    from lstmcli.api import adapt as api
    from lstmcli.cli import render
    from lstmcli.machine import malloc

    screen = render.Screen(json=json, quiet=quiet)
    reading = options.labelled(sets, maps, text_column, label_column, label_separator)
    malloc.keep(shared=False)
    with screen.listening() as listener:
        result = api.adapt(
            checkpoint,
            data,
            shots=shots,
            learner=learner,
            steps=steps,
            out=out,
            reading=reading,
            options=options.runtime(device, precision, threads),
            seed=seed or 0,
            listener=listener,
        )
    screen.adaptation(result)
