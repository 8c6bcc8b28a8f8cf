"""Out-of-fold probabilities of two models: each text is scored by models that were fitted without it.

encoder: logistic regression on the frozen features of the model that ships (``training/probe.py``). linear: the linear
baseline, logistic regression over TF-IDF. The two err on different texts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lstmcli.contracts import TextTask
from lstmcli.data.batches.encoded import Store
from lstmcli.data.batches.ragged import Ints
from lstmcli.events import Listener, Progress, silent
from lstmcli.training import probe

Array = np.ndarray[Any, np.dtype[Any]]
FOLDS = 5
LEAST = 1e-6  # probability: a label that a model excludes must not exclude it from the mean
Fit = Callable[[Ints, Ints], Array]  # from indices to learn from and to score to log probabilities [text, label]


@dataclass(frozen=True)
class Texts:
    """Labelled texts as both models read them.

    features: of the frozen encoder, ``[text, feature]``; store: word ids; targets: ``[text]``; labels: their names.
    """

    features: Array
    store: Store
    targets: Ints
    labels: Sequence[str]


def folds(targets: Ints, groups: Ints, *, seed: int) -> Ints:
    """Return the fold of each text, ``[text]``, stratified by label; texts of one group share a fold.

    A repeated text would otherwise be scored by models that were fitted to it. groups: ``[text]``.
    """
    from sklearn.model_selection import StratifiedKFold

    first, inverse = np.unique(groups, return_index=True, return_inverse=True)[1:]
    splitter = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    found = np.zeros(len(first), int)
    for fold, (_, left) in enumerate(splitter.split(first, targets[first])):
        found[left] = fold
    by_text: Ints = found[inverse]
    return by_text


def models(texts: Texts, task: TextTask, *, seed: int) -> dict[str, Fit]:
    """Return the two models by name, as functions that fit and score."""

    def encoder(learned: Ints, scored: Ints) -> Array:
        learned = np.random.default_rng(seed).permutation(learned)  # the penalty is chosen on the first texts
        features, centre, scale = probe.standardised(texts.features[learned])
        weight, bias = probe.fitted(features, texts.targets[learned], len(texts.labels), seed=seed)
        return _log_softmax((texts.features[scored] - centre) * scale @ weight.T + bias)

    def linear(learned: Ints, scored: Ints) -> Array:
        part, rest = texts.store.part(learned), texts.store.part(scored)
        fitted = task.fit_baselines(part.ids, part.offsets, part.known_targets, labels=len(texts.labels))
        rows = task.baseline_probabilities(fitted, rest.ids, rest.offsets)
        found: Array = np.log(rows.get("linear", rows["majority"]).clip(LEAST))
        return found

    def of_two_labels(fit: Fit) -> Fit:
        """Predict the only label that there is to learn, where there is only one."""

        def fitted(learned: Ints, scored: Ints) -> Array:
            present = np.unique(texts.targets[learned])
            if len(present) > 1:
                return fit(learned, scored)
            row = np.where(np.arange(len(texts.labels)) == present[0], 0.0, np.log(LEAST))
            return np.tile(row, (len(scored), 1))

        return fitted

    return {name: of_two_labels(fit) for name, fit in (("encoder", encoder), ("linear", linear))}


def _log_softmax(logits: Array) -> Array:
    from scipy.special import log_softmax

    found: Array = log_softmax(logits, axis=1).clip(np.log(LEAST))
    return found


def scored(models: Mapping[str, Fit], folds: Ints, *, listener: Listener = silent) -> dict[str, Array]:
    """Return the out-of-fold log probabilities of each model, ``[text, label]``. folds: of each text, ``[text]``."""
    found: dict[str, list[Array]] = {name: [] for name in models}
    held = [np.flatnonzero(folds == fold) for fold in range(FOLDS)]
    for fold, left in enumerate(held):
        learned = np.flatnonzero(folds != fold)
        for number, (name, fit) in enumerate(models.items()):
            listener(Progress("scoring out of fold", fold * len(models) + number, FOLDS * len(models)))
            found[name].append(fit(learned, left))
    order = np.argsort(np.concatenate(held), kind="stable")
    return {name: np.concatenate(parts)[order] for name, parts in found.items()}
