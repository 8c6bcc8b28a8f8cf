"""Search for label errors: confident learning on the out-of-fold probabilities of two models together."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lstmcli.contracts import TextTask
from lstmcli.data.batches.ragged import Ints
from lstmcli.errors import counted, verb
from lstmcli.events import Listener, silent
from lstmcli.quality import confident, curve, out_of_fold
from lstmcli.quality.curve import Curve
from lstmcli.quality.out_of_fold import FOLDS, Texts

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class LabelError:
    """A label that is probably wrong.

    index: of the text; suggested: the number of the label that it should have; confidence: its probability; before:
    that of the label that it has; agreed: each model by itself would choose the suggested one.
    """

    index: int
    suggested: int
    confidence: float
    before: float
    agreed: bool


@dataclass(frozen=True)
class LabelCheck:
    """errors: the most probable first; accuracy: out of fold by model, and of ``both`` together; empty, and no curve,
    where fewer than two labels have enough texts."""

    errors: list[LabelError]
    accuracy: dict[str, float]
    curve: Curve | None
    remarks: list[str]


def search(texts: Texts, groups: Ints, task: TextTask, *, seed: int, listener: Listener = silent) -> LabelCheck:
    """Search for label errors.

    Args:
        texts: Of all splits.
        groups: Texts of one group share a fold, ``[text]``.
        task: Has the linear model.
        seed: Of the folds and draws.
        listener: Called with each event.
    """
    first = np.unique(groups, return_index=True)[1]
    counts = np.bincount(texts.targets[first], minlength=len(texts.labels))
    enough = np.flatnonzero(counts >= FOLDS)
    few = len(counts) - len(enough)
    which = f"{counted(few, 'label')} of fewer than {FOLDS} distinct texts"
    remarks = [f"{which} {verb(few, 'are')} not searched for errors"] if few else []
    if len(enough) < 2:
        return LabelCheck([], {}, None, remarks)
    indices = np.flatnonzero(np.isin(texts.targets, enough))
    targets = np.searchsorted(enough, texts.targets[indices])
    store = replace(texts.store.part(indices), targets=targets)
    part = Texts(texts.features[indices], store, targets, [texts.labels[label] for label in enough.tolist()])
    folds = out_of_fold.folds(targets, groups[indices], seed=seed)
    models = out_of_fold.models(part, task, seed=seed)
    log_probs = out_of_fold.scored(models, folds, listener=listener)
    together = confident.pooled(list(log_probs.values()), targets)
    best = together.argmax(axis=1)
    agreed = np.all([rows.argmax(axis=1) == best for rows in log_probs.values()], axis=0)
    errors = [
        LabelError(
            int(indices[text]),
            int(enough[best[text]]),
            float(together[text, best[text]]),
            float(together[text, targets[text]]),
            bool(agreed[text]),
        )
        for text in confident.errors(together, targets)
    ]
    accuracy = {
        name: round(float((rows.argmax(axis=1) == targets).mean()), 4)
        for name, rows in (log_probs | {"both": together}).items()
    }

    def score(learned: Ints, left: Ints) -> Array:
        return confident.pooled([fit(learned, left) for fit in models.values()], targets[left])

    grown = curve.measured(targets, folds, best == targets, score, seed=seed, listener=listener)
    return LabelCheck(errors, accuracy, grown, remarks)
