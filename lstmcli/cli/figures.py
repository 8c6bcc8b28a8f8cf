"""Format figures for people."""

from typing import Any

NAMES = {
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "f1": "F1",
    "auc": "AUC",
    "dynamic_perplexity": "dynamic perplexity",
    "bits_per_character": "bits per character",
    "unknown_words": "unknown words",
    "ece": "calibration error",
}
LABELS_SHOWN = 12
ENDING = 100  # characters of a text shown before its next words
DIGITS = {"perplexity": 1, "dynamic_perplexity": 1, "bits_per_character": 3}  # of figures that are not fractions


def headed(metrics: dict[str, float]) -> str:
    """Return the name of the metric by which the best model is chosen."""
    return next(name for name in metrics if name not in ("score", "loss"))


def headline(metrics: dict[str, float]) -> str:
    """Format the metric by which the best model is chosen."""
    name = headed(metrics)
    return f"{NAMES.get(name, name)} {shown(name, metrics[name])}"


def shown(name: str, value: float) -> str:
    """Format a fraction in per cent, any other figure as a number."""
    return f"{value:.{DIGITS[name]}f}" if name in DIGITS else f"{value:.1%}"


def with_interval(figure: dict[str, float]) -> str:
    return f"{figure['value']:6.1%}  ({figure['low']:.1%} to {figure['high']:.1%})"


def with_counts(labels: dict[str, int]) -> str:
    """List labels with their counts, at most ``LABELS_SHOWN``."""
    first = ", ".join(f"{label} {count:,}" for label, count in list(labels.items())[:LABELS_SHOWN])
    return first + (f" and {len(labels) - LABELS_SHOWN:,} more" if len(labels) > LABELS_SHOWN else "")


def predicted(answer: dict[str, Any]) -> str:
    """Format a language model's answer: the end of the text, its likeliest next words, and its perplexity."""
    words = ", ".join(f"{word} {probability:.1%}" for word, probability in answer["next"].items())
    text = " ".join(answer["text"].split())
    shortened = text if len(text) <= ENDING else f"… {text[-ENDING:]}"
    return f"{shortened} → {words}  (perplexity {answer['perplexity']:.1f})"


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
