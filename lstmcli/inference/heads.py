"""Make the head of a checkpoint for other labels than those that it was trained on."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from lstmcli.config import Ridge
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
    """Do the same as ``with_labels``, and more if all labels are new to a model that was not meta-trained.

    For classes that the model was not trained on, words tell more than LSTM states: a bag of words is added to a model
    without one, with the words of the texts. The head is untrained: if the learner is ``free``, the head is fitted in
    closed form (ridge).
    """
    headed = with_labels(checkpoint, labels, alone=alone)
    if headed.config.episodes is not None or set(headed.vocabulary.labels) & set(checkpoint.vocabulary.labels):
        return headed
    if free:
        headed = replace(headed, config=headed.config.model_copy(update={"learner": Ridge()}))
        listener(Noted("all labels are new: their head is fitted in closed form (--learner ridge)"))
    return new_words.with_bag(headed, texts) if getattr(headed.config.model, "bag_of_words", None) == 0 else headed
