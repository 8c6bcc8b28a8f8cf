"""Score the model in a file on labelled data, or its adaptation to few-shot tasks. Torch starts with the model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstmcli import report as reports
from lstmcli.api import files
from lstmcli.config import Data, Episodes
from lstmcli.errors import ConfigError
from lstmcli.events import Listener, silent
from lstmcli.storage import data_option
from lstmcli.storage import examples as inputs
from lstmcli.types import Example, Option

if TYPE_CHECKING:
    from lstmcli.inference.evaluate import Report
    from lstmcli.inference.few_shot_report import FewShot
    from lstmcli.storage.checkpoint import Checkpoint


@dataclass(frozen=True)
class Tasks:
    """Few-shot tasks to adapt to.

    shots: texts per class, None: no tasks; ways: draw so many classes per task; episodes: how many tasks; learner: by
    name; prior: support, uniform or source.
    """

    shots: int | None = None
    ways: int | None = None
    episodes: int | None = None
    learner: str | None = None
    prior: str | None = None


@dataclass(frozen=True)
class _Opened:
    """A checkpoint, and the examples that it is scored on."""

    checkpoint: "Checkpoint"
    path: Path
    data: Data
    split: str
    examples: list[Example]


def evaluate(
    model: files.Name | None = None,
    data: files.Name | None = None,
    *,
    split: str | None = None,
    tasks: Tasks = Tasks(),
    dynamic: bool = False,
    thresholds: bool = False,
    report: Path | None = None,
    reading: Mapping[str, Any] = files.AS_IT_IS,
    options: Sequence[Option] = (),
    seed: int = 0,
    listener: Listener = silent,
) -> "Report | FewShot":
    """Return figures with 95 % intervals, beside those of baselines; of few-shot tasks, means over the tasks.

    Args:
        model, reading, options: As in ``lstmcli.api.files``.
        data: As ``--data``; None: what the model was trained on. split: None: test, else what the data has.
        dynamic: Of a language model, also with dynamic evaluation.
        thresholds: Also coverage, precision, recall and error by threshold, and prediction sets, under ``details``.
        report: A folder for report.json, the page report.html and, unless tasks are scored, predictions.jsonl.
        seed: Of the tasks, and of the resampling for the intervals.
        listener: Called with each event.

    Raises:
        CheckpointError, ConfigError, DataError: the model, an option or the data cannot be used.
    """
    _check(tasks, dynamic=dynamic, thresholds=thresholds)
    if report is not None:
        reports.claim(report)
    changed = [*files.learner_options(tasks.learner), *options]
    checkpoint, path = files.opened(model, changed, listener, weights=tasks.shots is not None)
    if tasks.shots is not None:
        checkpoint.check_one_label("--shots")
    source = files.source(data, checkpoint.config, reading, listener)
    known = checkpoint.vocabulary.classes
    data_option.check_known(reading, known)
    learned = checkpoint.arrays("learned").get("texts")
    name, examples = inputs.to_score(source, split, checkpoint.config, learned, listener=listener)
    examples = files.as_known(examples, checkpoint, adapting=tasks.shots is not None, listener=listener)
    if data is None and "adapted_from" in checkpoint.progress:
        inputs.check_labels(examples, known)
    opened = _Opened(checkpoint, path, source, name, examples)
    if tasks.shots is not None:
        return _of_tasks(opened, tasks, report, seed, listener)
    title = data_option.title(source)
    return scored(checkpoint, examples, data=title, split=name, path=path, report=report, seed=seed, dynamic=dynamic,
                  thresholds=thresholds, listener=listener)  # fmt: skip


def _check(tasks: Tasks, *, dynamic: bool, thresholds: bool) -> None:
    """Raise ConfigError where options exclude each other, or have no effect without ``shots``."""
    if tasks.shots is not None:
        for option, chosen in {"--dynamic": dynamic, "--thresholds": thresholds}.items():
            if chosen:
                what, where = "these options exclude each other", f"{option} and --shots"
                raise ConfigError(what, where=where, fix="leave out one of them")
        return
    given = {"--ways": tasks.ways, "--learner": tasks.learner, "--episodes": tasks.episodes, "--prior": tasks.prior}
    if unused := [option for option, value in given.items() if value is not None]:
        what = f"without --shots there is no use for {' and '.join(unused)}"
        raise ConfigError(what, where="evaluate", fix="add --shots 5")


def scored(
    checkpoint: "Checkpoint",
    examples: Sequence[Example],
    *,
    data: str,
    split: str,
    path: Path | str,
    report: Path | str | None = None,
    seed: int = 0,
    dynamic: bool = False,
    thresholds: bool = False,
    listener: Listener = silent,
) -> "Report":
    """Score a checkpoint on examples that it knows the labels of, and write the report into its folder.

    data, split: what the report names; path: of the checkpoint, empty if it has none; the others as ``evaluate``.
    """
    from lstmcli.inference import evaluate as evaluation
    from lstmcli.machine import runtime

    if report is not None:
        reports.claim(Path(report))
    with runtime.unchanged(checkpoint.config):
        found = evaluation.run(checkpoint, examples, data=data, split=split, path=path, seed=seed, dynamic=dynamic,
                               thresholds=thresholds, listener=listener)  # fmt: skip
        if report is not None:
            from lstmcli.report import page

            page.write(found, checkpoint, Path(path), Path(report), seed=seed, listener=listener)
    return found


def _of_tasks(opened: _Opened, tasks: Tasks, report: Path | None, seed: int, listener: Listener) -> "FewShot":
    """Score the adaptation of the model to the tasks, and write the report."""
    from lstmcli.inference.few_shot import run
    from lstmcli.inference.few_shot_report import FewShotOptions
    from lstmcli.machine import runtime
    from lstmcli.report import page

    with runtime.unchanged(opened.checkpoint.config):
        fixed = inputs.supports(opened.data, listener=listener)
        fixed = files.as_known(fixed, opened.checkpoint, listener=listener)
        changed = {"shots": tasks.shots} | ({} if tasks.ways is None else {"ways": tasks.ways})
        options = FewShotOptions(
            data=data_option.title(opened.data),
            split=opened.split,
            shape=(opened.checkpoint.config.episodes or Episodes()).model_copy(update=changed),
            episodes=tasks.episodes,
            prior=tasks.prior or "support",
            seed=seed,
            free=tasks.learner is None,
        )
        found = run(opened.checkpoint, opened.examples, fixed, options, opened.path, listener=listener)
        if report is not None:
            page.write(found, opened.checkpoint, opened.path, report, seed=seed, listener=listener)
    return found
