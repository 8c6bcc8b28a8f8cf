"""``lstmcli train``."""

from pathlib import Path
from typing import Annotated

import typer

from lstmcli.cli import options
from lstmcli.errors import ConfigError


def train(
    context: typer.Context,
    recipe: Annotated[
        str | None,
        typer.Argument(
            help="A recipe's name, a recipe file, or a file or folder of data (./NAME if a recipe has its name); "
            "none: list the recipes. With --fields: a section of recipes."
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
    maps: options.Map = None,
    device: options.Device = None,
    precision: options.Precision = None,
    threads: options.Threads = None,
    seed: options.Seed = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Train a model and keep the best checkpoint."""
    from lstmcli import recipes, registry
    from lstmcli.cli import render

    screen = render.Screen(json=json, quiet=quiet)
    if fields:
        from lstmcli.config.fields import rows

        screen.fields(rows(recipe))
        return
    if recipe is None and data is None:
        screen.recipes(recipes.groups())
        return
    recipe = recipe or str(data)  # data alone: the standard recipe for it
    given = options.given(
        ("data.path", "--data", data),
        ("data.limit", "--limit", limit),
        ("data.text_column", "--text-column", text_column),
        ("data.label_column", "--label-column", label_column),
        ("data.label_map", "--map", options.label_map(maps)),
        ("data.cache", "--no-cache", False if no_cache else None),
        ("train.epochs", "--epochs", epochs),
        ("device", "--device", device),
        ("precision", "--precision", precision),
        ("threads", "--threads", threads),
        ("seed", "--seed", seed),
    )
    if note := recipes.same_name(recipe, "train"):
        screen.note(note)
    config = recipes.load(recipe, overrides=sets or (), options=given, learner=learner)

    from lstmcli.machine import malloc
    from lstmcli.storage import examples as inputs
    from lstmcli.storage import run_folder

    target = out or run_folder.default(recipe, learner)
    if resume and config.data.name in registry.PROBLEMS:
        fix = "leave out --resume; to start again: --force"
        raise ConfigError("an optimiser benchmark cannot be resumed", where="--resume", fix=fix)
    if not dry_run:
        context.with_resource(run_folder.claimed(target, config.data, resume=resume, force=force))
    malloc.keep(shared=config.data.name not in registry.PROBLEMS and malloc.large(config))
    if config.data.name in registry.PROBLEMS:
        from lstmcli.cli import few_shot
        from lstmcli.race import race

        if dry_run:
            with screen.rehearsal(config) as listener:
                race.rehearse(config, listener=listener)
            return
        with screen.listening() as listener:
            raced = race.run(config, target, listener=listener)
        few_shot.show_race(screen, raced)
        return
    if not resume:
        run_folder.check_models(config, target)
    with screen.listening() as listener:
        examples = [inputs.read(config, listener=listener)]

    from lstmcli.training.train import rehearse, run  # torch starts here, after every cheap mistake is caught

    chosen = [option.key for option in given] + [override.partition("=")[0].strip() for override in sets or ()]
    if dry_run:
        with screen.rehearsal(config) as listener:
            rehearse(config, examples.pop(), listener=listener)
        return
    with screen.listening() as listener:  # the run lets the examples go once they are encoded: no name holds them here
        run(config, examples.pop(), target, resume=resume, chosen=chosen, listener=listener)
