"""Write a report, with report.html: one file that needs no other, no network and no script."""

from pathlib import Path

from lstmcli.contracts import TaskHooks, hooks
from lstmcli.events import Listener, Progress, silent
from lstmcli.inference import evaluate as evaluation
from lstmcli.inference.evaluate import Report, Scored
from lstmcli.inference.few_shot_report import FewShot
from lstmcli.report import PAGE, answers, card, history, html, judged, panels, reasons, slices, tasks, through_time
from lstmcli.report.judged import Judged
from lstmcli.report.panels import Panel
from lstmcli.storage import atomic
from lstmcli.storage.checkpoint import Checkpoint
from lstmcli.storage.sinks import Answer

KINDS = {"text": "Labels of texts", "words": "Entities in texts", "stream": "Language model"}  # by what a task reads


def write(report: Report | FewShot, checkpoint: Checkpoint, path: Path, folder: Path, *, seed: int = 0,
          listener: Listener = silent) -> None:  # fmt: skip
    """Write report.json, the page and, of a model as it is, predictions.jsonl into the folder.

    Args:
        report: Of the evaluation.
        checkpoint, path: The model and its file.
        seed: Of the resampling for the intervals of parts, and of the sample of texts whose gradients are shown.

    Raises:
        RuntimeSetupError: the folder cannot be written.
    """
    if isinstance(report, FewShot):
        evaluation.write_plain(report.plain(), folder)
        (folder / evaluation.PREDICTIONS).unlink(missing_ok=True)  # of an earlier evaluation
    else:
        evaluation.write(report, folder)
    listener(Progress("drawing the report"))
    content = of_tasks(report, checkpoint, path) if isinstance(report, FewShot) else of_model(
        report, checkpoint, path, seed=seed, listener=listener)  # fmt: skip
    with atomic.whole(folder / PAGE) as file:
        file.write(content.encode("utf-8", "replace"))


def of_model(report: Report, checkpoint: Checkpoint, path: Path, *, seed: int = 0, listener: Listener = silent) -> str:
    """Return the page of a model as it is."""
    scored, primary, plain = report.scored, checkpoint.deciding_task.PRIMARY, report.plain()
    rows = list(report.predictions())
    found = judged.judged(rows)
    shown: list[Panel | None] = [panels.headline(plain, primary, report.below)]
    if "by_label" in report.details:
        shown.append(answers.labels(report.details))
    if found is not None and len(found.probability):
        described = scored.engine.task.describe(scored.outputs, scored.engine.vocabulary.labels, 1.0)
        raw = judged.probabilities(described, rows)
        ece = report.metrics["ece"]["value"] if "ece" in report.metrics else None
        if found.what == "texts":
            shown.append(answers.confusion(rows, scored.engine.vocabulary.labels))
        if "types" in report.details:
            shown.append(answers.entities(report.details))
        shown.append(answers.calibration(found, raw, checkpoint.temperature, ece))
        shown.append(_thresholds(scored, checkpoint, found, seed))
        of_parts = checkpoint.task.PRIMARY  # macro F1 of the texts of one label would mean nothing
        parts = slices.measured(scored, of_parts, seed=seed, listener=listener)
        shown.append(panels.parts(parts, of_parts, report.metrics[of_parts]["value"]))
        if checkpoint.graph is None:  # an exported model has no gradients
            listener(Progress("following gradients through time"))
            shown.append(panels.through_time(through_time.measured(scored.engine.parts, scored.store, seed=seed)))
    shown.append(panels.curves(history.of(path)))
    if found is not None:
        shown.append(answers.mistakes(found, _reasons(report, checkpoint, found, listener)))
    shown.append(panels.card(card.rows(checkpoint, path), card.recipe(checkpoint)))
    what = f"{report.examples:,} texts of the {report.split} part, scored in {report.seconds:.1f} s"
    return _page(report, checkpoint, path, what, shown)


def _reasons(report: Report, checkpoint: Checkpoint, found: Judged, listener: Listener) -> list[Answer]:
    """Explain the mistakes that the page shows, of a model that labels texts and has gradients."""
    mistakes = found.mistakes[: answers.MISTAKES]
    if not mistakes or checkpoint.graph is not None or checkpoint.task.READS != "text":
        return []
    listener(Progress("explaining mistakes"))
    return reasons.of(report.scored, mistakes)


def _thresholds(scored: Scored, checkpoint: Checkpoint, found: judged.Judged, seed: int) -> Panel:
    """Show what each threshold leaves; the table of a classifier has the figures of ``evaluate --thresholds``."""
    operating_points = hooks(TaskHooks, checkpoint.deciding_task).operating_points
    if operating_points is None or found.what != "texts":
        return answers.thresholds(found, judged.thresholds(found), judged.thresholds(found))
    texts = scored.probabilities, scored.store.known_targets, scored.engine.vocabulary.labels
    drawn, listed = (
        judged.of_points(operating_points(*texts, more, seed=seed)["min_confidence"])
        for more in (judged.GRID.tolist(), [checkpoint.min_confidence])  # resamples differ with the thresholds
    )
    return answers.thresholds(found, drawn, listed)


def of_tasks(report: FewShot, checkpoint: Checkpoint, path: Path) -> str:
    """Return the page of a few-shot evaluation."""
    primary, plain = checkpoint.task.PRIMARY, report.plain()
    steps = "" if report.steps is None else f" in {report.steps} steps"
    what = (
        f"{report.episodes:,} tasks of {report.ways} classes of the {report.split} part, {report.shots} texts per "
        f"class to learn from{steps}; {report.examples:,} texts scored, class prior: {report.prior}"
    )
    shown = [
        panels.headline(plain, primary, report.below),
        tasks.episodes(plain, primary, report.by_episode),
        tasks.by_name(plain, primary),
        panels.curves(history.of(path)),
        panels.card(card.rows(checkpoint, path), card.recipe(checkpoint)),
    ]
    return _page(report, checkpoint, path, what, shown)


def _page(report: Report | FewShot, checkpoint: Checkpoint, path: Path, what: str, shown: list[Panel | None]) -> str:
    title = f"{card.name_of(path)} on {report.data}"
    return html.page(title, f"{KINDS[checkpoint.task.READS]}: {what}.", [panel for panel in shown if panel is not None])
