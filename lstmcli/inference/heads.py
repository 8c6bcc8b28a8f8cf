"""Make the head of a checkpoint for other labels than those that it was trained on."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from lstmcli.config import Anchored, Finetune
from lstmcli.contracts import HEAD
from lstmcli.errors import ConfigError
from lstmcli.events import Listener, Noted, silent
from lstmcli.inference import new_words
from lstmcli.storage.checkpoint import Checkpoint
from lstmcli.types import Example


def with_labels(checkpoint: Checkpoint, labels: Sequence[str], *, alone: bool = False) -> Checkpoint:
    """Return the checkpoint with a head for these labels.

    Rows of known labels keep their weights, those of new ones are zero. If none is known, or with ``alone``, the new
    labels replace the old ones, else they are added. labels: of a tagger, types of entities, which must be known.

    Raises:
        ConfigError: A tagger does not know the type.
    """
    known = checkpoint.vocabulary.labels
    if checkpoint.task.READS == "words":
        types = checkpoint.vocabulary.classes
        if foreign := [label for label in labels if label not in types]:
            where = f"it knows {', '.join(types)}"
            fix = "train one that does: lstmcli train FOLDER"
            raise ConfigError(f"the model has no entities of type {', '.join(foreign)}", where=where, fix=fix)
        return checkpoint
    if known == tuple(labels) or (set(labels) <= set(known) and not alone):
        return checkpoint
    kept = known if set(labels) & set(known) and not alone else ()
    together = [*kept, *(label for label in labels if label not in kept)]
    tensors = dict(checkpoint.tensors)
    for name, old in checkpoint.group("model").items():
        if name.startswith(f"{HEAD}."):
            new = torch.zeros(len(together), *old.shape[1:])
            for row, label in enumerate(together):
                if label in known:
                    new[row] = old[known.index(label)]
            tensors[f"model/{name}"] = new
    tensors = {
        name: value for name, value in tensors.items() if not name.startswith("memory/")
    }  # it has the old labels
    return replace(checkpoint, vocabulary=checkpoint.vocabulary.with_labels(together), tensors=tensors)


def with_new_labels(
    checkpoint: Checkpoint,
    labels: Sequence[str],
    texts: Sequence[Example],
    *,
    alone: bool = False,
    free: bool = False,
    listener: Listener = silent,
) -> Checkpoint:
    """Do the same as ``with_labels``, and more for a model that was not meta-trained.

    If the learner is ``free``: where the model knows a label and its recipe names no learner, the head is ``anchored``
    at the model's own; where all labels are new, at zero, which is a logistic regression.

    For classes that the model was not trained on, words tell more than LSTM states: where all labels are new, a bag of
    words is added to a model without one, with the words of the texts.
    """
    headed = with_labels(checkpoint, labels, alone=alone)
    if headed.config.episodes is not None or headed.task.READS != "text":
        return headed
    if set(headed.vocabulary.labels) & set(checkpoint.vocabulary.labels):
        default = free and headed.config.learner == Finetune()
        learner = Anchored() if default else headed.config.learner
        return _calibrated(headed, learner) if isinstance(learner, Anchored) else headed
    if free:
        headed = replace(headed, config=headed.config.model_copy(update={"learner": Anchored()}))
        listener(Noted("all labels are new: their head is fitted by logistic regression (--learner anchored)"))
    return new_words.with_bag(headed, texts) if getattr(headed.config.model, "bag_of_words", None) == 0 else headed


def _calibrated(checkpoint: Checkpoint, learner: Anchored) -> Checkpoint:
    """Return the checkpoint with the learner, and with its temperature as a factor of the head that is its anchor."""
    scaled = {
        f"model/{name}": value.float() / checkpoint.temperature
        for name, value in checkpoint.group("model").items()
        if name.startswith(f"{HEAD}.")
    }
    config = checkpoint.config.model_copy(update={"learner": learner})
    return replace(checkpoint, config=config, tensors=checkpoint.tensors | scaled, temperature=1.0)
