"""A classifier of texts for scikit-learn: pipelines, cross-validation, searches over settings."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from lstmcli.api.fit import fit

Array = np.ndarray[Any, np.dtype[Any]]


class TextClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """An LSTM that labels texts, as ``lstmcli.fit`` trains it.

    Fields of the recipe are parameters too: ``TextClassifier().set_params(train__epochs=5)``, and in the grid of a
    search ``{"train__epochs": [2, 5]}``.

    Args:
        recipe: A name that ``lstmcli train`` lists, or the path of a recipe.
        settings: Fields of the recipe by name: ``{"train__epochs": 5}``.
        random_state: Makes the fit repeatable; an int.

    Attributes:
        classes_: The labels, sorted.
        model_: The ``lstmcli.Model``; its labels are indices into ``classes_``.
    """

    def __init__(self, recipe: str = "table", *, settings: dict[str, Any] | None = None, random_state: int = 0) -> None:
        self.recipe = recipe
        self.settings = settings
        self.random_state = random_state

    def fit(self, X: Iterable[str], y: Iterable[Any]) -> "TextClassifier":  # noqa: N803 (scikit-learn's name)
        """Train on the texts and their labels."""
        labels = column_or_1d(y)
        check_classification_targets(labels)
        self.classes_, indices = np.unique(labels, return_inverse=True)
        settings = dict(self.settings or {})
        weights = settings.get("train__class_weights")
        if isinstance(weights, dict):  # the model's labels are indices
            index = {label: number for number, label in enumerate(self.classes_.tolist())}
            settings["train__class_weights"] = {index.get(label, label): one for label, one in weights.items()}
        self.model_ = fit(X, indices, recipe=self.recipe, seed=self.random_state, **settings)
        return self

    def predict(self, X: Iterable[str]) -> Array:  # noqa: N803
        """Return the label of each text, ``[text]``."""
        check_is_fitted(self)
        labels: Array = self.classes_[self.model_.predict(X, min_confidence=0.0)]
        return labels

    def predict_proba(self, X: Iterable[str]) -> Array:  # noqa: N803
        """Return the calibrated probability of each label, ``[text, label]``, in the order of ``classes_``."""
        check_is_fitted(self)
        return self.model_.predict_proba(X)

    def set_params(self, **params: Any) -> "TextClassifier":
        """Set parameters; names with two underscores are fields of the recipe, and go into ``settings``."""
        fields = {name: value for name, value in params.items() if "__" in name}
        super().set_params(**{name: value for name, value in params.items() if name not in fields})
        if fields:
            self.settings = {**(self.settings or {}), **fields}
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags
