"""The report of ``evaluate --shots``: means over few-shot tasks with intervals, and gains over baselines."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from lstmcli.config import Episodes
from lstmcli.contracts import TextTask
from lstmcli.data.batches import episodes
from lstmcli.data.batches.episodes import Draw
from lstmcli.inference.evaluate import Figures, below
from lstmcli.storage.checkpoint import Checkpoint

MODEL = "model"  # after adaptation
NOT_IN_JSON = ("below", "by_episode")  # fields of a report
PAIRED: tuple[str, ...] = ("before", "finetune")  # compared with the model by paired differences


@dataclass(frozen=True)
class FewShotOptions:
    """Options of ``evaluate --shots``."""

    data: str
    split: str
    shape: Episodes
    episodes: int | None  # how many, if supports are not fixed; None: ``few_shot.EPISODES``
    prior: str  # support, uniform or source
    seed: int
    free: bool = False  # another learner may be chosen: the user named none


@dataclass(frozen=True)
class FewShot:
    """The report of ``evaluate --shots``.

    gains: of the model over a baseline, paired over episodes; by_episode: the primary figure of each episode, of the
    model and of each baseline.
    """

    task: str
    data: str
    split: str
    examples: int
    ways: int
    shots: int
    steps: int | None
    episodes: int
    prior: str
    metrics: Figures
    baselines: dict[str, Figures]
    gains: dict[str, Figures]
    tasks: list[dict[str, Any]]
    seconds: float
    checkpoint: str
    below: tuple[str, ...]
    by_episode: dict[str, list[float]]

    def plain(self) -> dict[str, Any]:
        """Return the report as a dictionary for JSON."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name not in NOT_IN_JSON}


@dataclass(frozen=True)
class Measured:
    """The figures of each episode."""

    task: TextTask
    figures: dict[str, list[dict[str, float]]]  # by model or baseline
    drawn: list[Draw]
    steps: int | None  # of the learner
    seconds: float  # for adapting and scoring the model


def report(checkpoint: Checkpoint, found: Measured, options: FewShotOptions, path: Path) -> FewShot:
    """Report the figures of the episodes. path: of the checkpoint."""
    task, drawn, figures = found.task, found.drawn, dict(found.figures)

    def mean(by_episode: Sequence[dict[str, float]], least: float = 0.0) -> Figures:
        means = task.over_episodes(by_episode, seed=options.seed, least=least)
        return {name: asdict(measure) for name, measure in means.items()}

    means = mean(of_model := figures.pop(MODEL))
    baselines = {name: mean(by_episode) for name, by_episode in figures.items()}
    gains: dict[str, Figures] = {
        name: mean([{metric: model[metric] - baseline[metric] for metric in model if metric in baseline}
                    for model, baseline in zip(of_model, figures[name], strict=True)], least=-1.0)
        for name in PAIRED if name in figures
    }  # fmt: skip
    rows = [
        {"name": draw.domain, "examples": len(draw.query), "metrics": of_model[index],
         "baselines": {name: by_episode[index] for name, by_episode in figures.items()}}
        for index, draw in enumerate(drawn)
    ] if len({draw.domain for draw in drawn}) == len(drawn) else []  # fmt: skip
    return FewShot(
        task=checkpoint.config.task,
        data=options.data,
        split=options.split,
        examples=sum(len(draw.query) for draw in drawn),
        ways=len(drawn[0].labels),
        shots=episodes.shots(drawn),
        steps=found.steps,
        episodes=len(drawn),
        prior=options.prior,
        metrics=means,
        baselines=baselines,
        gains=gains,
        tasks=rows,
        seconds=found.seconds,
        checkpoint=str(path),
        below=below(task, means, baselines),
        by_episode={
            name: [episode[task.PRIMARY] for episode in by_episode] for name, by_episode in found.figures.items()
        },
    )
