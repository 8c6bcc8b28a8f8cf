"""Format figures for people."""

from typing import Any

from lstmcli.report.names import headed, name_of, shown

LABELS_SHOWN = 12
ENDING = 100  # characters of a text shown before its next words


def headline(metrics: dict[str, float]) -> str:
    """Format the metric by which the best model is chosen."""
    name = headed(metrics)
    return f"{name_of(name)} {shown(name, metrics[name])}"


def with_interval(figure: dict[str, float]) -> str:
    return f"{figure['value']:6.1%}  ({figure['low']:.1%} to {figure['high']:.1%})"


def compared(metric: str, reached: tuple[float, float]) -> str:
    """Format a metric of a model, and of its export."""
    return f"{name_of(metric)}: {reached[0]:.2%} of the model, {reached[1]:.2%} of the export"


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
