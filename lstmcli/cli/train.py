"""``lstmcli train``."""

from pathlib import Path
from typing import Annotated

import typer

from lstmcli.cli import options


def train(
    context: typer.Context,
    recipe: Annotated[
        str | None,
        typer.Argument(
            metavar="RECIPE|PATH",
            help="A recipe's name, a recipe file, or a file or folder of data (./NAME if a recipe has its name); "
            "none: list the recipes. With --fields: a section of recipes.",
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="PATH", help="Read the recipe's data set from here.")
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Set a key of the recipe (all keys: --fields); may be repeated."
        ),
    ] = None,
    learner: Annotated[
        str | None,
        typer.Option("--learner", metavar="NAME", help="Meta-train this learner on few-shot tasks: maml, ridge, ..."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where the run is written; default: runs/RECIPE.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing run.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an interrupted run, or with more --epochs a finished one.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", help="A stratified sample of N training examples.")
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", metavar="N", help="Passes over the training data.")] = None,
    target_precision: Annotated[
        float | None,
        typer.Option(
            "--target-precision",
            metavar="P",
            help="Choose on validation the probability below which predict gives no label, so that P of the labels are "
            "right.",
        ),
    ] = None,
    target_coverage: Annotated[
        float | None,
        typer.Option("--target-coverage", metavar="P", help="The same, so that P of the texts get a label."),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option("--budget", metavar="TIME", help="Search for the best recipe so long: 90s, 10m, 1h."),
    ] = None,
    max_size: Annotated[
        str | None,
        typer.Option("--max-size", metavar="SIZE", help="With --budget: of model.pt, at most: 3MB, 800KB."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the recipe, check the data, estimate the time; write nothing.")
    ] = False,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Do not keep encoded texts in the cache folder.")
    ] = False,
    fields: Annotated[
        bool, typer.Option("--fields", help="List the keys of recipes, or of one section: --fields train.")
    ] = False,
    text_column: options.TextColumn = None,
    label_column: options.LabelColumn = None,
    label_separator: options.LabelSeparator = None,
    maps: options.Map = None,
    device: options.Device = None,
    precision: options.Precision = None,
    threads: options.Threads = None,
    seed: options.Seed = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Train a model and keep the best checkpoint."""
    from lstmcli import recipes
    from lstmcli.api import train as api
    from lstmcli.cli import few_shot, render

    screen = render.Screen(json=json, quiet=quiet or not api.reports())
    if fields:
        from lstmcli.config.fields import rows

        screen.fields(rows(recipe))
        return
    if recipe is None and data is None:
        options.check_alone(context, "json", "quiet")
        screen.recipes(recipes.groups())
        return
    recipe = recipe or str(data)  # data alone: the standard recipe for it
    given = options.given(
        ("data.path", "--data", data),
        ("data.limit", "--limit", limit),
        *options.columns(text_column, label_column, label_separator, prefix="data."),
        ("data.label_map", "--map", options.label_map(maps)),
        ("data.cache", "--no-cache", False if no_cache else None),
        ("train.epochs", "--epochs", epochs),
        *options.targets(precision=target_precision, coverage=target_coverage),
        ("device", "--device", device),
        ("precision", "--precision", precision),
        ("threads", "--threads", threads),
        ("seed", "--seed", seed),
    )
    if note := recipes.same_name(recipe, "train"):
        screen.note(note)
    config = recipes.load(recipe, overrides=sets or (), options=given, learner=learner)
    from lstmcli.machine import malloc

    malloc.keep(shared=malloc.large(config))
    target, chosen = out or api.default(recipe, learner), options.keys(sets, given)
    with screen.rehearsal(config) if dry_run and api.reports() else screen.listening() as listener:
        raced = api.train(config, target, resume=resume, force=force, dry_run=dry_run, chosen=chosen, budget=budget,
                          max_size=max_size, listener=listener)  # fmt: skip
    if raced is not None:
        few_shot.show_race(screen, raced)
