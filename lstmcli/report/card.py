"""The model card of the page, read from the checkpoint."""

from pathlib import Path
from typing import Any

import yaml

from lstmcli.errors import counted
from lstmcli.report.svg import shortened
from lstmcli.storage import run_folder
from lstmcli.storage.checkpoint import Checkpoint
from lstmcli.storage.data_option import title

LABELS = 40  # listed by name
LISTED = 1000  # characters of a value


def name_of(path: Path) -> str:
    """Return how people call a model: its run folder, or the file's name without its ending."""
    return path.absolute().parent.name if path.name == run_folder.MODEL else path.stem or "the model"


def rows(checkpoint: Checkpoint, path: Path) -> list[tuple[str, str]]:
    """Return the properties of the model, each with its value as a text."""
    config, progress, vocabulary = checkpoint.config, checkpoint.progress, checkpoint.vocabulary
    weights = sum(value.size for value in checkpoint.arrays("model").values())
    found: list[tuple[str, Any]] = [("model", config.model.name)]
    found += [("weights", f"{weights:,}")] if weights else []
    if path.is_file():
        found.append(("file", f"{path.name}, {path.stat().st_size / 2**20:.1f} MiB"))
    shape = {key: value for key, value in config.model.model_dump().items()
             if key in ("embedding", "hidden", "layers", "bidirectional", "pooling", "head")}  # fmt: skip
    found.append(("shape", ", ".join(f"{key} {value}" for key, value in shape.items())))
    found.append(("vocabulary", counted(len(vocabulary), "word")))
    if classes := vocabulary.classes:
        more = f" and {len(classes) - LABELS:,} more" if len(classes) > LABELS else ""
        found.append(("labels", f"{len(classes):,}: {', '.join(classes[:LABELS])}{more}"))
    found.append(("trained on", title(config.data)))
    amount = progress.get("amount") or {}
    if {"texts", "tokens"} <= amount.keys():
        found.append(("training data", f"{counted(amount['texts'], 'text')}, {counted(amount['tokens'], 'token')}"))
    if (priors := progress.get("shares", {}).get("")) and len(priors) <= LABELS:
        found.append(("class priors", ", ".join(f"{label} {share:.1%}" for label, share in priors.items())))
    if "step" in progress:
        found.append(("best at", f"epoch {progress.get('epoch')}, step {progress['step']:,}"))
    if "adapted_from" in progress:
        support = ", ".join(f"{label} {count}" for label, count in progress.get("support", {}).items())
        found.append(("adapted to", support))
    if config.episodes is not None:
        found.append(("meta-trained by", config.learner.name))
    found += [("seed", config.seed), ("temperature", f"{checkpoint.temperature:.3f}")]
    if "data" in progress:
        found.append(("hash of the training data", progress["data"]))
    return [(name, shortened(str(value), LISTED)) for name, value in found]


def recipe(checkpoint: Checkpoint) -> str:
    """Return the whole recipe as YAML."""
    text: str = yaml.safe_dump(checkpoint.config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    return text
