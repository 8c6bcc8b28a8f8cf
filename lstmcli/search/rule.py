"""When another recipe replaces the default one: where it is better on validation texts by more than noise.

Trials are compared by the log-likelihood of the true labels, calibrated, which on a hundred texts distinguishes models
that accuracy cannot; where the classes are uneven, by macro F1. The k-th trial after the default is better where

    its accuracy (macro F1) is at least that of the default, and
    its advantage, paired over the validation texts, is above 0 at a one-sided level of 0.05 · 6 / (π k)²,

by Student's test of the mean difference of the log-likelihoods, or of the difference of macro F1 with the standard
error of its bootstrap, whose quantiles have no such small levels. The level falls with k because the best of many that
differ by noise alone looks better than it is (the winner's curse). Over all k the levels sum to 0.05: where no trial is
better, by the union bound at most 5 % of the searches, however long, replace the default. Of the trials that are better
than the default, the one with the largest log-likelihood (macro F1) is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lstmcli.contracts import Task, TaskHooks, hooks
from lstmcli.tasks import intervals

Array = np.ndarray[Any, np.dtype[Any]]
LEVEL = 0.05
LEAST = 1e-12  # probability: one certain error must not decide


@dataclass(frozen=True)
class Outcome:
    """What a model gives on the validation texts: the log-likelihood of the true label, the label, and the true one;
    ``[text]`` each."""

    likelihood: Array
    predicted: Array
    targets: Array

    @property
    def figures(self) -> dict[str, float]:
        """Return accuracy, macro F1 and loss."""
        accuracy = float((self.predicted == self.targets).mean())
        f1 = float(macro_f1(self, np.ones((1, len(self.targets))))[0])
        return {"accuracy": accuracy, "macro_f1": f1, "loss": -float(self.likelihood.mean())}


def outcome(task: Task, outputs: Array, targets: Array, temperature: float) -> Outcome:
    """Return what the outputs give. task: with the class weights in decisions, if there are any."""
    decide = hooks(TaskHooks, task).decide
    assert decide is not None  # the task labels whole texts
    probabilities = task.probabilities(outputs, temperature)
    true = probabilities[np.arange(len(targets)), targets]
    return Outcome(np.log(true.clip(LEAST)), decide(probabilities, {}, 0.0), targets)


def macro_f1(found: Outcome, weights: Array) -> Array:
    """Return macro F1 of each resample, ``[draw]``. weights: how often each text counts, ``[draw, text]``; a class that
    neither occurs nor is predicted in a resample does not count in it."""
    classes = np.union1d(found.targets, found.predicted)
    true, predicted = (values[:, None] == classes for values in (found.targets, found.predicted))  # [text, class]
    hits, total = weights @ (true & predicted), weights @ true + weights @ predicted  # [draw, class]
    f1 = np.divide(2 * hits, total, out=np.full(total.shape, np.nan), where=total > 0)
    mean: Array = np.nanmean(f1, axis=1)
    return mean


def advantage(found: Outcome, default: Outcome, *, uneven: bool, seed: int = 0) -> tuple[float, float]:
    """Return by how much a model is better than the default, and the p-value of not being better, one-sided.

    uneven: compare macro F1, not the log-likelihood. seed: of the resamples.
    """
    if not uneven:
        differences = found.likelihood - default.likelihood
        count = len(differences)
        error = differences.std(ddof=1) / np.sqrt(count) if count > 1 and np.ptp(differences) else 0.0
        return float(differences.mean()), _p_value(float(differences.mean()), float(error), count)

    def difference(weights: Array) -> dict[str, Array]:
        return {"macro_f1": macro_f1(found, weights) - macro_f1(default, weights)}

    count = len(found.targets)
    drawn = intervals.by_weight(difference, count, np.full(count, 1 / count), intervals.generator(seed))["macro_f1"]
    observed = float(difference(np.ones((1, count)))["macro_f1"][0])
    return observed, _p_value(observed, float(drawn.std()), count)


def _p_value(mean: float, error: float, count: int) -> float:
    """Return that of Student's one-sided test. error: standard error of the mean; count: texts."""
    from scipy.stats import t

    if count < 2 or not error > 0:  # without spread there is no test
        return 1.0
    return float(t.sf(mean / error, count - 1))


def level(number: int) -> float:
    """Return the level of the test of a trial. number: k."""
    return LEVEL * 6 / (np.pi * number) ** 2


def replaces(found: Outcome, default: Outcome, p_value: float, *, number: int, uneven: bool) -> bool:
    """Return whether the model may replace the default. number: k, of the trials after the default from 1."""
    headline = "macro_f1" if uneven else "accuracy"
    not_worse = found.figures[headline] >= default.figures[headline]
    return not_worse and p_value <= level(number)


def value(figures: Mapping[str, float], *, uneven: bool) -> float:
    """Return what decides among those that are better than the default; higher is better. figures: of an outcome."""
    return figures["macro_f1"] if uneven else -figures["loss"]
