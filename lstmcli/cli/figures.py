"""Figures as a person reads them."""

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
ENDING = 100  # characters of a text shown before what may follow
DIGITS = {"perplexity": 1, "dynamic_perplexity": 1, "bits_per_character": 3}  # of figures that are no shares


def headed(metrics: dict[str, float]) -> str:
    """The name of the figure that the best model is chosen by."""
    return next(name for name in metrics if name not in ("score", "loss"))


def headline(metrics: dict[str, float]) -> str:
    """The figure that the best model is chosen by, as the task names it."""
    name = headed(metrics)
    return f"{NAMES.get(name, name)} {shown(name, metrics[name])}"


def shown(name: str, value: float) -> str:
    """A share in per cent, any other figure as it is."""
    return f"{value:.{DIGITS[name]}f}" if name in DIGITS else f"{value:.1%}"


def with_interval(figure: dict[str, float]) -> str:
    return f"{figure['value']:6.1%}  ({figure['low']:.1%} to {figure['high']:.1%})"


def with_counts(labels: dict[str, int]) -> str:
    """Labels with their counts, the first of them where they are many."""
    first = ", ".join(f"{label} {count:,}" for label, count in list(labels.items())[:LABELS_SHOWN])
    return first + (f" and {len(labels) - LABELS_SHOWN:,} more" if len(labels) > LABELS_SHOWN else "")


def predicted(said: dict[str, Any]) -> str:
    """The end of a text, the words that may follow, and how well the text itself was predicted."""
    words = ", ".join(f"{word} {probability:.1%}" for word, probability in said["next"].items())
    text = " ".join(said["text"].split())
    shortened = text if len(text) <= ENDING else f"… {text[-ENDING:]}"
    return f"{shortened} → {words}  (perplexity {said['perplexity']:.1f})"


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
