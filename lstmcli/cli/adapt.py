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
            help="How to adapt; default: the checkpoint's learner, ridge if all labels are new.",
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option("--steps", metavar="N", min=0, help="Gradient steps; default: by cross-validation."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Default: adapted.pt beside the checkpoint.")
    ] = None,
    checkpoint: options.Checkpoint = None,
    text_column: options.TextColumn = None,
    label_column: options.LabelColumn = None,
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
    from lstmcli import recipes
    from lstmcli.cli import render
    from lstmcli.storage import data_option, run_folder
    from lstmcli.storage import examples as inputs

    screen = render.Screen(json=json, quiet=quiet)
    reading = options.labelled(sets, maps, text_column, label_column)
    given = [*options.learner(learner, steps), *options.runtime(device, precision, threads)]
    loaded, path = screen.checkpoint(checkpoint, given)
    target = run_folder.beside(path, out)
    if data is None:
        source = data_option.with_reading(data_option.unseen_domain(loaded.config), reading)
        screen.note(f"no --data: {data_option.title(source)} of the bundled data is learned")
    else:
        if note := recipes.same_name(data, "--data"):
            screen.note(note)
        source = data_option.named(data, loaded.config, reading)
    data_option.check_known(reading, loaded.vocabulary.classes)
    if target.exists():
        screen.note(f"{target} will be written over; to keep it: --out FILE")
    skipping = {"bad_rows": reading.get("bad_rows", "skip")}  # bad rows are reported and left out
    with screen.listening() as listener:
        examples = inputs.everything(source.model_copy(update=skipping), listener=listener)
        examples = data_option.as_known(
            examples, loaded.vocabulary.classes, loaded.config.data, adapting=True, listener=listener
        )
        old = inputs.old(loaded.config, listener=listener)

    from lstmcli.inference import adapt as engine

    adapt_options = engine.AdaptOptions(shots, seed or 0, choose=steps is None, free=learner is None and steps is None)
    with screen.listening() as listener:
        result = engine.run(loaded, examples, adapt_options, old=old, out=target, listener=listener)
    screen.adaptation(result, data_option.title(source))
