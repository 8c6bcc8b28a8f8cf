"""The estimator, as scikit-learn has it."""

import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks

from lstmcli.sklearn import TextClassifier
from tests.unit.test_api import LABELS, SETTINGS, TEXTS

FAST = SETTINGS | {"train__epochs": 6, "train__lr": 0.1}
NUMBERS = {  # checks that fit rows of numbers, where this estimator has texts; what they hold is held below for texts
    "check_classifier_data_not_an_array",
    "check_classifiers_classes",
    "check_classifiers_one_label",
    "check_classifiers_one_label_sample_weights",
    "check_classifiers_regression_target",
    "check_classifiers_train",
    "check_complex_data",
    "check_dict_unchanged",
    "check_dont_overwrite_parameters",
    "check_dtype_object",
    "check_estimator_sparse_array",
    "check_estimator_sparse_matrix",
    "check_estimator_sparse_tag",
    "check_estimators_dtypes",
    "check_estimators_empty_data_messages",
    "check_estimators_fit_returns_self",
    "check_estimators_nan_inf",
    "check_estimators_overwrite_params",
    "check_estimators_pickle",
    "check_f_contiguous_array_estimator",
    "check_fit1d",
    "check_fit2d_1feature",
    "check_fit2d_1sample",
    "check_fit2d_predict1d",
    "check_fit_check_is_fitted",
    "check_fit_idempotent",
    "check_fit_score_takes_y",
    "check_methods_sample_order_invariance",
    "check_methods_subset_invariance",
    "check_n_features_in",
    "check_n_features_in_after_fitting",
    "check_pipeline_consistency",
    "check_positive_only_tag_during_fit",
    "check_readonly_memmap_input",
    "check_requires_y_none",
    "check_supervised_y_2d",
    "check_supervised_y_no_nan",
}


class OfRows(TextClassifier):
    """With the tag without which scikit-learn has no checks at all."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        return tags


def checks() -> Iterator[tuple[str, Callable[[str, object], None]]]:
    for check in estimator_checks._yield_all_checks(OfRows(), legacy=True):
        yield estimator_checks._check_name(check), check


CHECKS = dict(checks())


@pytest.fixture(scope="module")
def fitted() -> TextClassifier:
    return TextClassifier(settings=SETTINGS | {"train__epochs": 12}).fit(TEXTS, LABELS)


def test_only_checks_that_exist_are_excluded() -> None:
    assert NUMBERS - set(CHECKS) == set()


@pytest.mark.parametrize("name", sorted(set(CHECKS) - NUMBERS))
def test_the_checks_of_scikit_learn_that_apply_pass(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        CHECKS[name]("TextClassifier", OfRows())


def test_a_fit_returns_the_estimator_and_changes_no_parameter(fitted: TextClassifier) -> None:
    assert fitted.get_params() == {"recipe": "table", "settings": SETTINGS | {"train__epochs": 12}, "random_state": 0}
    assert list(fitted.classes_) == ["bad", "good"]
    assert fitted.score(TEXTS, LABELS) == np.mean(fitted.predict(TEXTS) == LABELS) > 0.9


def test_a_clone_is_not_fitted_and_fits_the_same(fitted: TextClassifier) -> None:
    other = clone(fitted)
    with pytest.raises(NotFittedError):
        other.predict(TEXTS)
    with pytest.raises(NotFittedError):
        other.predict_proba(TEXTS)
    assert np.array_equal(other.fit(TEXTS, LABELS).predict_proba(TEXTS), fitted.predict_proba(TEXTS))


def test_texts_are_labelled_each_by_itself_whatever_holds_them(fitted: TextClassifier) -> None:
    together = fitted.predict_proba(np.array(TEXTS, dtype=object))
    order = np.random.default_rng(0).permutation(len(TEXTS))
    assert together.shape == (len(TEXTS), 2)
    np.testing.assert_allclose(fitted.predict_proba([TEXTS[index] for index in order]), together[order], atol=1e-6)
    np.testing.assert_allclose(fitted.predict_proba(iter(TEXTS[:3])), together[:3], atol=1e-6)
    np.testing.assert_allclose(together.sum(axis=1), 1)


@pytest.mark.parametrize("labels", [[-1.0, 3.0], [7, 30, 200], ["b", "a"], [False, True]])
def test_any_labels_of_classes_are_sorted_and_come_back(labels: list[Any]) -> None:
    names = [labels[index % len(labels)] for index in range(len(TEXTS))]
    fitted = TextClassifier(settings=SETTINGS | {"train__epochs": 1}).fit(TEXTS, names)
    assert list(fitted.classes_) == sorted(labels)
    assert list(fitted.predict(TEXTS)) == list(fitted.classes_[fitted.predict_proba(TEXTS).argmax(axis=1)])


def test_targets_that_are_no_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="continuous"):
        TextClassifier().fit(TEXTS, np.linspace(0, 1, len(TEXTS)))
    with pytest.raises(ValueError, match="1d array"):
        TextClassifier().fit(TEXTS, np.zeros((len(TEXTS), 2)))


def test_it_works_in_a_pipeline_and_is_validated_across() -> None:
    lower = FunctionTransformer(lambda texts: [text.lower() for text in texts])
    pipeline = make_pipeline(lower, TextClassifier(settings=FAST))
    texts, labels = np.array([text.upper() for text in TEXTS]), np.array(LABELS)
    scores = cross_val_score(pipeline, texts, labels, cv=2, error_score="raise")
    rest, held_out = next(StratifiedKFold(2).split(texts, labels))
    assert scores[0] == pipeline.fit(texts[rest], labels[rest]).score(texts[held_out], labels[held_out]) > 0.5
    assert len(scores) == 2


@pytest.mark.slow
def test_a_search_sets_fields_of_the_recipe() -> None:
    search = GridSearchCV(
        make_pipeline(TextClassifier(settings=FAST)),
        {"textclassifier__train__lr": [1e-6, 0.1]}, cv=2, error_score="raise",
    ).fit(TEXTS, LABELS)  # fmt: skip
    assert search.best_params_ == {"textclassifier__train__lr": 0.1}
    best = search.best_estimator_[-1]
    assert best.settings == FAST
    assert best.model_.classes_.tolist() == [0, 1]


@pytest.mark.slow
def test_a_fitted_estimator_goes_to_other_processes(fitted: TextClassifier) -> None:
    expected = fitted.predict_proba(TEXTS)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert np.array_equal(pool.submit(fitted.predict_proba, TEXTS).result(), expected)
