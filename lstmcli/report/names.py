"""Names and formats of figures, for terminals and pages."""

from collections.abc import Mapping

NAMES = {
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "f1": "F1",
    "auc": "AUC",
    "dynamic_perplexity": "dynamic perplexity",
    "bits_per_character": "bits per character",
    "unknown_words": "unknown words",
    "ece": "calibration error",
}
DIGITS = {"perplexity": 1, "dynamic_perplexity": 1, "bits_per_character": 3}  # of figures that are not fractions


MEANINGS = {
    "accuracy": "texts with the right label",
    "balanced_accuracy": "mean over the labels of the texts found",
    "macro_f1": "mean over the labels of F1",
    "micro_f1": "F1 of all pairs of text and label",
    "exact_match": "texts whose set of labels is right",
    "hamming_loss": "pairs of text and label that are wrong, less is better",
    "auc": "probability that a text of the second label scores above one of the first",
    "ece": "mean distance of probability and accuracy, less is better",
    "precision": "of the entities found, those that are right",
    "recall": "of the true entities, those that are found",
    "f1": "harmonic mean of precision and recall",
    "perplexity": "as many equally likely next words, less is better",
    "dynamic_perplexity": "the same, learning from each window after it is scored",
    "bits_per_character": "less is better",
    "unknown_words": "words that the vocabulary does not have",
}
_NOT_METRICS = ("epoch", "step", "train_loss", "score", "loss")  # beside the metrics in metrics.jsonl


def headed(metrics: Mapping[str, float]) -> str:
    """Return the name of the metric by which the best model is chosen."""
    return next(name for name in metrics if name not in _NOT_METRICS)


def name_of(metric: str) -> str:
    """Return the name of a metric in words."""
    return NAMES.get(metric, metric.replace("_", " "))


def shown(name: str, value: float) -> str:
    """Format a fraction in per cent, any other figure as a number."""
    return f"{value:.{DIGITS[name]}f}" if name in DIGITS else f"{value:.1%}"
