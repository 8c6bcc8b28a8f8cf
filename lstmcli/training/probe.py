"""A linear probe: logistic regression on the embeddings of a model whose encoder stands still.

A run that begins with another model's encoder fits its head so before the first step, and fine-tunes from there: a
random head would distort the encoder before it learns (Kumar et al. 2022, "Fine-Tuning can Distort Pretrained Features
and Underperform Out-of-Distribution", LP-FT).

Features are centred and brought to a mean squared length of ``LENGTH``²; the penalty is the one of ``PENALTIES`` under
which texts left out of the fit are most likely. Where the model knows all labels of the texts, the penalty is on the
distance from its own head, at its own temperature, as ``adapt`` has it (``meta/anchored.py``).
"""

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lstmcli import registry
from lstmcli.config import Anchored
from lstmcli.contracts import HEAD
from lstmcli.data.batches.encoded import Store
from lstmcli.inference import assemble, frozen
from lstmcli.inference.assemble import Parts, embeddings
from lstmcli.inference.step_count import as_tasks

Array = np.ndarray[Any, np.dtype[Any]]
LENGTH = 3.0
PENALTIES = (0.1, 1.0, 10.0)  # inverse: scikit-learn's C
FOLDS = 3
HELD_OUT = 5  # folds of ``out_of_fold``
TRIED = 2_000  # texts that the penalty is chosen on
FITTED = 10_000  # texts that the head is fitted on
ITERATIONS = 200
MASKED = -30.0  # the bias of a label without a text


def fit_head(parts: Parts, store: Store, *, seed: int, temperature: float = 1.0) -> bool:
    """Fit the model's head on the texts, with the class weights of the task, if it has any; return whether it is the
    head that the model had, moved. A label without a text gets next to no probability.

    temperature: of the model with the head that it has.
    """
    random = np.random.default_rng(seed)
    part = store.part(random.permutation(len(store))[:FITTED])  # shuffled: files are often sorted by label
    features, targets = embeddings(parts, part), part.known_targets
    if parts.config.train.class_weights is None and _all_known(parts, targets):
        move_head(parts, features, targets, temperature)
        return True
    labels, weights = len(parts.vocabulary.labels), getattr(parts.task, "loss_weights", None)
    weight, bias = regression(features, targets, labels, seed=seed, class_weights=weights)
    with torch.no_grad():
        for name, value in (("weight", weight), ("bias", bias)):
            parameter = parts.model.get_parameter(f"{HEAD}.{name}")
            parameter.copy_(torch.from_numpy(np.asarray(value, np.float32)))
    return False


def _all_known(parts: Parts, targets: Array) -> bool:
    """Return whether each label has a text, and a trained row of the head; those of new labels are zero."""
    labels = len(parts.vocabulary.labels)
    present = targets.any(axis=0) if targets.ndim > 1 else np.bincount(targets, minlength=labels) > 0
    head = torch.column_stack([parts.model.get_parameter(f"{HEAD}.{name}").detach() for name in ("weight", "bias")])
    return bool(present.all()) and bool(head.any(dim=1).all())


def move_head(parts: Parts, features: Array, targets: Array, temperature: float) -> None:
    """Move the head as far as texts left out of the fit support it. features, targets: as of ``fitted``."""
    with torch.no_grad():
        for name in ("weight", "bias"):
            parts.model.get_parameter(f"{HEAD}.{name}").div_(temperature)
        section = Anchored()
        learner = registry.learner(section.name).build(section, parts.model)
        model, batch = frozen.read_once(parts, features, targets)
        (weights,) = learner.trajectory(model, as_tasks(batch, [range(len(targets))]), parts.task.loss)
        assemble.settled(parts, weights)


def regression(
    features: Array, targets: Array, labels: int, *, seed: int, class_weights: Array | None = None
) -> tuple[Array, Array]:
    """Fit a logistic regression to features that are not standardised. Arguments and result are those of ``fitted``;
    targets of sets of labels are ``[text, label]``."""
    standard, centre, scale = standardised(features)
    if targets.ndim > 1:
        weight, bias = fitted_to_sets(standard, targets, seed=seed)
    else:
        weight, bias = fitted(standard, targets, labels, seed=seed, class_weights=class_weights)
    weight *= scale
    return weight, bias - weight @ centre


def out_of_fold(parts: Parts, store: Store, *, seed: int) -> tuple[Array, Array]:
    """Return logits of texts by heads that were fitted to the other texts, ``[text, label]``, and their targets,
    ``[text]``. A text of the only label that has another text is left out."""
    from sklearn.model_selection import StratifiedKFold

    random = np.random.default_rng(seed)
    part = store.part(random.permutation(len(store))[:FITTED])
    features, targets = standardised(embeddings(parts, part))[0], part.known_targets
    labels = len(parts.vocabulary.labels)
    logits, known = np.zeros((len(targets), labels)), np.zeros(len(targets), bool)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a label with fewer texts than folds
        folds = list(StratifiedKFold(HELD_OUT, shuffle=True, random_state=seed).split(features, targets))
    for learned, left in folds:
        if len(np.unique(targets[learned])) > 1:
            weight, bias = fitted(features[learned], targets[learned], labels, seed=seed)
            logits[left], known[left] = features[left] @ weight.T + bias, True
    return logits[known], targets[known]


def standardised(features: Array) -> tuple[Array, Array, float]:
    """Centre the features and scale them to a mean squared length of ``LENGTH``²; return them, the centre and the
    scale."""
    centre = features.mean(axis=0)
    scale = LENGTH / max(1e-9, float(np.sqrt(((features - centre) ** 2).sum(axis=1).mean())))
    return (features - centre) * scale, centre, scale


def fitted(
    features: Array, targets: Array, labels: int, *, seed: int, class_weights: Array | None = None
) -> tuple[Array, Array]:
    """Fit a logistic regression and return its weights, ``[label, feature]``, and biases, ``[label]``.

    Args:
        features: ``[text, feature]``.
        targets: ``[text]``, of at least two labels.
        labels: How many labels there are, with or without texts.
        seed: Of the folds that choose the penalty.
        class_weights: Of the loss, ``[label]``. Their logarithms are taken off the biases: the probabilities are those
            under the class frequencies of the texts.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", UserWarning)  # a label with fewer texts than folds
        weights = np.ones(labels) if class_weights is None else class_weights
        penalty = _penalty(features[:TRIED], targets[:TRIED], weights, seed)
        model = LogisticRegression(C=penalty, max_iter=300, class_weight=dict(enumerate(weights)))
        model.fit(features, targets)
    weight, bias = np.zeros((labels, features.shape[1])), np.full(labels, MASKED)
    if len(model.classes_) == 2:  # scikit-learn has one row, of the second label against the first
        weight[model.classes_] = np.outer((-0.5, 0.5), model.coef_[0])
        bias[model.classes_] = np.array((-0.5, 0.5)) * model.intercept_[0]
    else:
        weight[model.classes_], bias[model.classes_] = model.coef_, model.intercept_
    return weight, bias - np.log(weights)


def fitted_to_sets(features: Array, targets: Array, *, seed: int) -> tuple[Array, Array]:
    """Fit a logistic regression of each label and return the weights, ``[label, feature]``, and biases, ``[label]``.

    All labels share the penalty, and are fitted at once; the cross-entropy is summed over texts, as in scikit-learn.

    Args:
        features: ``[text, feature]``.
        targets: ``[text, label]``, 1 or 0.
        seed: Of the folds that choose the penalty.
    """
    from sklearn.model_selection import KFold

    tried, has = features[:TRIED], targets[:TRIED]
    losses = np.zeros(len(PENALTIES))
    for learned, left in KFold(min(FOLDS, len(tried)), shuffle=True, random_state=seed).split(tried):
        for index, penalty in enumerate(PENALTIES):
            weight, bias = _regressions(tried[learned], has[learned], penalty)
            scores = tried[left] @ weight.T + bias
            losses[index] += (np.logaddexp(0, scores) - has[left] * scores).sum()
    weight, bias = _regressions(features, targets, PENALTIES[int(losses.argmin())])
    absent = targets.sum(axis=0) == 0
    weight[absent], bias[absent] = 0, MASKED
    return weight, bias


def _regressions(features: Array, targets: Array, penalty: float) -> tuple[Array, Array]:
    """Minimise Σ cross-entropy + |W|² / (2 penalty), biases free, by L-BFGS."""
    texts, has = torch.from_numpy(features).float(), torch.from_numpy(targets).float()
    weight = torch.zeros(has.shape[1], texts.shape[1], requires_grad=True)
    bias = torch.zeros(has.shape[1], requires_grad=True)
    search = torch.optim.LBFGS(
        [weight, bias], max_iter=ITERATIONS, history_size=10, line_search_fn="strong_wolfe", tolerance_change=1e-7
    )

    def objective() -> Tensor:
        search.zero_grad()
        scores = torch.addmm(bias, texts, weight.T)
        nll = nn.functional.binary_cross_entropy_with_logits(scores, has, reduction="sum")
        total: Tensor = (nll + weight.square().sum() / (2 * penalty)) / len(texts)
        total.backward()  # type: ignore[no-untyped-call]
        return total

    with torch.enable_grad():
        search.step(objective)  # type: ignore[no-untyped-call]
    return weight.detach().numpy().astype(np.float64), bias.detach().numpy().astype(np.float64)


def _penalty(features: Array, targets: Array, weights: Array, seed: int) -> float:
    """Choose the inverse penalty with the least weighted loss on left-out texts; 1 where no label has two texts."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold

    folds = min(FOLDS, int(np.unique(targets, return_counts=True)[1].max()))
    if folds < 2:
        return 1.0
    losses = np.zeros(len(PENALTIES))
    for learned, left in StratifiedKFold(folds, shuffle=True, random_state=seed).split(features, targets):
        left = left[np.isin(targets[left], targets[learned])]
        if len(np.unique(targets[learned])) < 2:
            continue
        for index, penalty in enumerate(PENALTIES):
            model = LogisticRegression(C=penalty, max_iter=50, class_weight=dict(enumerate(weights)))
            model.fit(features[learned], targets[learned])
            rows = model.predict_proba(features[left])  # [text, label]
            columns = np.searchsorted(model.classes_, targets[left])
            likelihood = np.log(rows[np.arange(len(left)), columns].clip(1e-12))
            losses[index] -= (weights[targets[left]] * likelihood).sum()
    return PENALTIES[int(losses.argmin())]
