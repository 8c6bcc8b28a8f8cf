"""``lstmcli evaluate``."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lstmcli.cli import options
from lstmcli.config import Episodes
from lstmcli.errors import ConfigError


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
        typer.Option("--shots", metavar="K", min=1, help="Adapt to few-shot tasks of K texts per class first."),
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
            "--learner", metavar="NAME", help="With --shots: how to adapt; default: as trained, ridge for new labels."
        ),
    ] = None,
    prior: Annotated[
        Prior | None,
        typer.Option("--prior", help="With --shots: the class priors of the tasks; default: support."),
    ] = None,
    dynamic: Annotated[bool, typer.Option("--dynamic", help="Language models: also with dynamic evaluation.")] = False,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="DIR", help="Also write report.json; without --shots, predictions.jsonl too."),
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
    """Score a model: 95 % intervals, and baselines beside every score."""
    from lstmcli import recipes
    from lstmcli.cli import render
    from lstmcli.storage import atomic, data_option
    from lstmcli.storage import examples as inputs

    screen = render.Screen(json=json, quiet=quiet)
    reading = options.labelled(sets, maps, text_column, label_column)
    if report is not None:
        atomic.claim_file(report / "report.json")
    given = [*options.learner(learner), *options.runtime(device, precision, threads)]
    loaded, path = screen.checkpoint(checkpoint, given)
    if data is not None and (note := recipes.same_name(data, "--data")):
        screen.note(note)
    source = data_option.named(data, loaded.config, reading)
    known = loaded.vocabulary.classes
    data_option.check_known(reading, known)
    with screen.listening() as listener:
        name, examples = inputs.to_score(source, split, loaded.config, listener=listener)
        examples = data_option.as_known(
            examples, known, loaded.config.data, adapting=shots is not None, listener=listener
        )
    if data is None and "adapted_from" in loaded.progress:
        inputs.check_labels(examples, known)

    if shots is not None and dynamic:
        raise ConfigError(
            "these options exclude each other", where="--dynamic and --shots", fix="leave out one of them"
        )
    if shots is not None:
        from lstmcli.cli import few_shot
        from lstmcli.inference.few_shot import run
        from lstmcli.inference.few_shot_report import FewShotOptions

        with screen.listening() as listener:
            fixed = inputs.supports(source, listener=listener)
            fixed = data_option.as_known(fixed, known, loaded.config.data, listener=listener)
        changed = {"shots": shots} | ({} if ways is None else {"ways": ways})
        shape = (loaded.config.episodes or Episodes()).model_copy(update=changed)
        few_shot_options = FewShotOptions(
            data_option.title(source), name, shape, episodes, prior or Prior.support, seed or 0, free=learner is None
        )
        with screen.listening() as listener:
            found = run(loaded, examples, fixed, few_shot_options, path, listener=listener)
        few_shot.show(screen, found, target=report)
        return
    few_shot_only = {"--ways": ways, "--learner": learner, "--episodes": episodes, "--prior": prior}
    if unused := [option for option, value in few_shot_only.items() if value is not None]:
        what = f"without --shots there is no use for {' and '.join(unused)}"
        raise ConfigError(what, where="evaluate", fix="add --shots 5")

    from lstmcli.inference import evaluate as engine

    with screen.listening() as listener:
        result = engine.run(
            loaded,
            examples,
            data=data_option.title(source),
            split=name,
            path=path,
            seed=seed or 0,
            dynamic=dynamic,
            listener=listener,
        )
    screen.report(result)
    if report is not None:
        engine.write(result, report)
