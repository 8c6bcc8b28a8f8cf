"""``lstmcli adapt``."""

from pathlib import Path
from typing import Annotated

import typer

from lstmcli.cli import options


def adapt(
    shots: Annotated[
        int, typer.Option("--shots", metavar="K", min=1, help="Labelled texts a class to learn from.")
    ] = 5,
    data: options.Data = None,
    learner: Annotated[
        str | None, typer.Option("--learner", metavar="NAME", help="How to learn; default: as the checkpoint says.")
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", metavar="N", help="Gradient steps.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Default: adapted.pt beside the checkpoint.")
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
    """Bend a model to a new domain with a few labelled texts a class."""
    from lstmcli.cli import render
    from lstmcli.engine import folder, inputs

    screen = render.Screen(json=json, quiet=quiet)
    given = options.overrides(
        learner__name=learner, learner__steps=steps, data__text_column=text_column, data__label_column=label_column,
        device=device, precision=precision, threads=threads, seed=seed,
    )  # fmt: skip
    loaded, path = screen.checkpoint(checkpoint, given)
    source = inputs.unseen_domain(loaded.config.data) if data is None else inputs.named(data, loaded.config.data)
    examples = screen.watch(inputs.everything(source))
    old = screen.watch(inputs.old(loaded.config))
    target = folder.beside(path, out)

    from lstmcli.engine import adapt as engine

    screen.adaptation(
        screen.watch(engine.run(loaded, examples, shots=shots, old=old, out=target)), inputs.title(source)
    )
