"""Decisions on the answers of ``predict``: thresholds, abstention, and prediction sets. Imports no torch.

Prediction sets are split-conformal. Let s_1 <= ... <= s_n be the scores 1 - p(true label) of n texts that the model was
not trained on, and k the smallest integer with k >= (n + 1) P. A set holds each label whose 1 - p is at most s_k, all
labels if k > n. If the text is exchangeable with those n, its set contains the true label with a probability of at
least P and, unless scores tie, of at most P + 1 / (n + 1). A set can be empty. Vovk et al. (2005), "Algorithmic
Learning in a Random World"; Sadinle et al. (2019), "Least Ambiguous Set-Valued Classifiers with Bounded Error Levels".

Whether a text is in scope, that is, of the kind that the model was trained on, is decided in the same way: with the
entropies of the n texts for scores, a text is in scope if its entropy is at most s_k, which holds for an exchangeable
text with a probability of at least P. With many labels a text of none of them has spread probabilities. With two it has
them less often: Hendrycks & Gimpel (2017), "A Baseline for Detecting Misclassified and Out-of-Distribution Examples".

The n texts are the validation part. The epoch and the temperature are chosen on it too, so that the coverage of new
texts is slightly lower than if they were not.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmcli.contracts import Task, TaskHooks, hooks
from lstmcli.errors import CheckpointError, ConfigError, did_you_mean
from lstmcli.storage import deciding
from lstmcli.tasks import intervals
from lstmcli.types import Measure

if TYPE_CHECKING:
    from lstmcli.storage.checkpoint import Checkpoint

Array = np.ndarray[Any, np.dtype[Any]]
GROUP, SCORES, ENTROPIES = "conformal", "scores", "entropies"  # of a checkpoint's tensors, ascending
ROUNDING = 1e-9  # of a product of float64
SHOWN = 1e-6  # the last digit of a probability in an answer: a text at the threshold reaches it on every processor
PROMISED = (0.8, 0.9, 0.95, 0.99)  # coverage of the prediction sets that a report has
NO_LABEL = "the model does not give each text its likeliest label"
OWN = "the model gives a text several labels, each from a threshold of its own on"
ONE = "leave it out; or name a classifier of texts: -c FILE"
SHOWN_BESIDE = "leave it out: the figures of each label are shown beside its threshold"


@dataclass(frozen=True)
class DecisionOptions:
    """How answers follow from probabilities.

    min_confidence: no label below this probability; None: the checkpoint's. thresholds: by label, the probability from
    which it is given, of several labels per text in place of the checkpoint's. sets: the probability with which
    prediction sets contain the true label; None: no sets. in_scope: the probability with which a text of the kind seen
    in training is found to be in scope; None: not decided.

    Raises:
        ConfigError: a value is out of range.
    """

    min_confidence: float | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    sets: float | None = None
    in_scope: float | None = None

    def __post_init__(self) -> None:
        for label, value in self.thresholds.items():
            _check(value, f"--threshold {label}={value}", f"for example --threshold '{label}=0.7'")
        if self.min_confidence is not None:
            _check(self.min_confidence, f"--min-confidence {self.min_confidence}", "for example --min-confidence 0.8")
        for option, coverage in (("--sets", self.sets), ("--in-scope", self.in_scope)):
            if coverage is not None and not 0 < coverage < 1:
                fix = f"give a number between 0 and 1, for example {option} 0.9"
                raise ConfigError(f"{coverage} is not a probability below 1", where=f"{option} {coverage}", fix=fix)


AS_TRAINED = DecisionOptions()  # the likeliest label, unless training chose a threshold


def _check(value: float, where: str, example: str) -> None:
    if not 0 <= value <= 1:  # also not a number
        raise ConfigError(f"{value} is not a probability", where=where, fix=f"give a number from 0 to 1, {example}")


def parsed(thresholds: Sequence[str]) -> dict[str, float]:
    """Parse ``LABEL=P``, where a label may contain ``=``. Raises ConfigError if one is not, or a label has two."""
    found: dict[str, float] = {}
    for text in thresholds:
        label, _, number = text.rpartition("=")
        where = f"--threshold {text}"
        try:
            value = float(number)
        except ValueError:
            value = None
        if value is None or not label:
            raise ConfigError(f"'{text}' is not LABEL=P", where=where, fix="for example --threshold positive=0.7")
        if label in found:
            what = f"'{label}' has two thresholds: {found[label]}, {value}"
            raise ConfigError(what, where=where, fix="leave out one of them")
        found[label] = value
    return found


class Decisions:
    """The options, checked against a model."""

    def __init__(self, checkpoint: "Checkpoint", options: DecisionOptions) -> None:
        """Raise ConfigError where the model decides otherwise or has no such label, CheckpointError where it has no
        scores of validation texts. ``task`` decides on sets of labels by the thresholds of the options."""
        _check_usable(checkpoint, options)
        labels = checkpoint.vocabulary.labels
        self._labels = labels
        chosen = options.min_confidence
        self._min_confidence = max((checkpoint.min_confidence if chosen is None else chosen) - SHOWN, 0.0)
        for label, value in options.thresholds.items():
            if label not in labels:
                where = f"--threshold {label}={value}"
                raise ConfigError(f"the model has no label '{label}'", where=where, fix=did_you_mean(label, labels))
        of_sets, of_one = (options.thresholds, {}) if checkpoint.label_sets else ({}, options.thresholds)
        self.task = deciding.task_of(checkpoint, of_sets)
        self._decide = hooks(TaskHooks, self.task).decide
        self._thresholds = {labels.index(label): value for label, value in of_one.items()}
        self._set_limit = _limit(checkpoint, SCORES, "--sets", options.sets)
        self._scope_limit = _limit(checkpoint, ENTROPIES, "--in-scope", options.in_scope)

    def indices(self, probabilities: Array) -> Array:
        """Return the index of the label of each text, -1 for none. probabilities: ``[text, label]``."""
        assert self._decide is not None
        return self._decide(probabilities, self._thresholds, self._min_confidence)

    def unlimited(self, probabilities: Array) -> Array:
        """Return the index of the label of each text without thresholds, ``[text]``: each has one."""
        assert self._decide is not None
        return self._decide(probabilities, {}, 0.0)

    def members(self, probabilities: Array) -> list[list[int]]:
        """Return the indices of the labels in the set of each text, likeliest first."""
        return [
            [index for index in np.argsort(-row, kind="stable").tolist() if 1 - row[index] <= self._set_limit]
            for row in probabilities
        ]

    def in_scope(self, probabilities: Array) -> Array:
        """Return whether each text is in scope, ``[text]``. probabilities: ``[text, label]``."""
        within: Array = entropies(probabilities) <= self._scope_limit
        return within

    @property
    def usable(self) -> bool:
        """False where the task alone decides, and there are no thresholds."""
        return self._decide is not None

    @property
    def active(self) -> bool:
        """False where each text is given the label that the task describes, and nothing else."""
        return bool(self._thresholds or self._min_confidence or self.blank)

    @property
    def blank(self) -> dict[str, Any]:
        """What an answer without a text gains."""
        limits = {"set": self._set_limit, "in_scope": self._scope_limit}
        return {name: None for name, limit in limits.items() if limit is not None}

    def applied(self, answers: list[dict[str, Any]], probabilities: Array) -> list[dict[str, Any]]:
        """Return the answers with the label that is decided, and with set and scope where they are to be given.

        ``probability`` is that of the label; where none is given, of the label that would be without thresholds.
        """
        changed, found = [], self.indices(probabilities)
        shown_of = np.where(found < 0, self.unlimited(probabilities), found).tolist()
        for answer, row, index, shown in zip(answers, probabilities, found.tolist(), shown_of, strict=True):
            label = "" if index < 0 else self._labels[index]
            changed.append(answer | {"label": label, "probability": round(float(row[shown]), 6)})
        if self._set_limit is not None:
            named = ([self._labels[index] for index in found] for found in self.members(probabilities))
            changed = [answer | {"set": names} for answer, names in zip(changed, named, strict=True)]
        if self._scope_limit is not None:
            within = self.in_scope(probabilities).tolist()
            changed = [answer | {"in_scope": inside} for answer, inside in zip(changed, within, strict=True)]
        return changed


def _check_usable(checkpoint: "Checkpoint", options: DecisionOptions) -> None:
    """Raise ConfigError where the model does not decide in such a way."""
    sets = checkpoint.label_sets
    given = {"--min-confidence": options.min_confidence, "--threshold": None if sets else options.thresholds or None,
             "--sets": options.sets, "--in-scope": options.in_scope}  # fmt: skip
    where = ", ".join(name for name, value in given.items() if value is not None)
    what, fix = (OWN, "leave it out; to move a threshold: --threshold LABEL=P") if sets else (NO_LABEL, ONE)
    if where and not usable(checkpoint.task):
        raise ConfigError(what, where=where, fix=fix)


def _limit(checkpoint: "Checkpoint", name: str, option: str, coverage: float | None) -> float | None:
    """Return the critical one of the checkpoint's scores of that name; None without a coverage.

    Raises CheckpointError where it has no such scores.
    """
    if coverage is None:
        return None
    found = checkpoint.arrays(GROUP)
    if name not in found:
        what = "the model has no scores of validation texts, by which it is calibrated"
        fix = "train one, which stores them: lstmcli train FILE; then name its folder: -c runs/NAME"
        raise CheckpointError(what, where=f"{option} {coverage}", fix=fix)
    return critical(found[name], coverage)


def scores(probabilities: Array, targets: Array) -> Array:
    """Return 1 - p(true label) of each text, ascending. probabilities: ``[text, label]``; targets: ``[text]``."""
    return np.sort(1 - probabilities[np.arange(len(targets)), targets])


def entropies(probabilities: Array) -> Array:
    """Return -Σ p log p of each text in nats, ``[text]``. probabilities: ``[text, label]``."""
    logs = np.log(np.where(probabilities > 0, probabilities, 1.0))
    found: Array = -(probabilities * logs).sum(axis=1)
    return found


def critical(ascending: Array, coverage: float) -> float:
    """Return the score that a new one does not exceed with this probability; infinity where there are too few."""
    rank = math.ceil((len(ascending) + 1) * coverage - ROUNDING)
    return math.inf if rank > len(ascending) else float(ascending[rank - 1])


def for_precision(confidence: Array, correct: Array, target: float) -> float | None:
    """Return the lowest confidence from which on the fraction of correct answers is at least the target; 0 where it is
    without a threshold, None where no threshold reaches it.

    confidence: probability of the likeliest label, ``[text]``; correct: whether that is the true one, ``[text]``.
    """
    order = np.argsort(-confidence, kind="stable")
    precision = correct[order].cumsum() / np.arange(1, len(order) + 1)
    last = np.append(np.diff(confidence[order]) < 0, True)  # equal confidences pass together
    reached = np.flatnonzero(last & (precision >= target))
    if not len(reached):
        return None
    return 0.0 if reached[-1] == len(order) - 1 else float(confidence[order][reached[-1]])


def for_coverage(confidence: Array, target: float) -> float:
    """Return the highest confidence that at least the target fraction of texts reaches."""
    rank = math.ceil(len(confidence) * target - ROUNDING)
    return float(np.sort(confidence)[-rank])


def usable(task: Task) -> bool:
    """Return True if the answer of the task is the likeliest label, on which decisions can be made."""
    return hooks(TaskHooks, task).decide is not None


def check(checkpoint: "Checkpoint", *, thresholds: bool) -> None:
    """Raise ConfigError where figures by threshold are to be computed, and the task has no thresholds."""
    what, fix = (OWN, SHOWN_BESIDE) if checkpoint.label_sets else (NO_LABEL, ONE)
    if thresholds and not usable(checkpoint.task):
        raise ConfigError(what, where="--thresholds", fix=fix)


def details(
    checkpoint: "Checkpoint", probabilities: Array, targets: Array, *, seed: int, thresholds: bool
) -> dict[str, Any]:
    """Return what the report of ``evaluate`` gains.

    ``decision``: what the threshold chosen in training gives, where there is one. With ``thresholds``, under that name:
    the operating points of ``tasks/decisions.py``, and where the checkpoint has scores, ``sets``: the coverage of
    prediction sets, their mean number of labels, and the fraction that is empty.

    Args:
        checkpoint: Of the model.
        probabilities: ``[text, label]``.
        targets: ``[text]``.
        seed: Of the resamples.
        thresholds: Whether all thresholds are to be reported.
    """
    operating_points, chosen = hooks(TaskHooks, checkpoint.deciding_task).operating_points, checkpoint.min_confidence
    if operating_points is None or not (chosen or thresholds):
        return {}
    points = operating_points(probabilities, targets, checkpoint.vocabulary.labels, [chosen], seed=seed)
    found: dict[str, Any] = {}
    if chosen:
        target = {key: getattr(checkpoint.config.train, f"target_{key}") for key in ("precision", "coverage")}
        (row,) = (row for row in points["min_confidence"] if row["threshold"] == chosen)
        found["decision"] = row | {"target": {key: value for key, value in target.items() if value is not None}}
    if thresholds:
        ascending = checkpoint.arrays(GROUP).get(SCORES)
        sets = [] if ascending is None else [_of_sets(probabilities, targets, ascending, one) for one in PROMISED]
        found["thresholds"] = points | {"sets": sets}
    return found


def _of_sets(probabilities: Array, targets: Array, ascending: Array, promised: float) -> dict[str, Any]:
    """Return the figures of prediction sets for the promised coverage."""
    members = 1 - probabilities <= critical(ascending, promised)
    covered, count = float(members[np.arange(len(targets)), targets].mean()), len(targets)
    low, high = intervals.wilson(covered, count)
    sizes = members.sum(axis=1)
    return {
        "promised": promised,
        "coverage": asdict(Measure(covered, low, high)),
        "labels": float(sizes.mean()),
        "empty": float((sizes == 0).mean()),
    }
