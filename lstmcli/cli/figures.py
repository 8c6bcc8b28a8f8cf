"""Figures as a person reads them."""

NAMES = {
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "f1": "F1",
    "auc": "AUC",
    "ece": "calibration error",
}


def headline(metrics: dict[str, float]) -> str:
    """The figure that the best model is chosen by, as the task names it."""
    name = next(name for name in metrics if name not in ("score", "loss"))
    return f"{NAMES.get(name, name)} {metrics[name]:.1%}"


def percent(figure: "dict[str, float] | None") -> str:
    return "" if figure is None else f"{figure['value']:.1%}"


def with_interval(figure: "dict[str, float] | None") -> str:
    return "" if figure is None else f"{figure['value']:6.1%}  ({figure['low']:.1%} to {figure['high']:.1%})"


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
