"""Sections ``train`` and ``episodes``: how weights are learned."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from lstmcli.config.base import Section


class Train(Section):
    """How weights are learned."""

    epochs: int = Field(5, ge=1, le=10_000, description="Passes over the training data.")
    batch_tokens: int = Field(16_384, ge=1, le=10_000_000, description="Tokens a batch, padding counted.")
    accumulate: int = Field(1, ge=1, le=10_000, description="Batches whose gradients make one step.")
    window: int = Field(64, ge=1, le=100_000, description="Of running text, words that a derivative goes back.")
    optimizer: Literal["adam", "adamw", "sgd"] = "adamw"
    lr: float = Field(2e-3, gt=0, lt=100, description="Largest learning rate.")
    body_lr: float = Field(1.0, gt=0, le=1, description="Of word vectors and LSTM, as a share of lr.")
    weight_decay: float = Field(0.01, ge=0, lt=10)
    schedule: Literal["one-cycle", "constant"] = Field("one-cycle", description="Learning rate over the run.")
    warmup: float = Field(0.2, ge=0, lt=1, description="Part of a one-cycle run in which the rate rises.")
    clip: float | None = Field(1.0, gt=0, description="Largest norm of the whole gradient; none: no limit.")
    patience: int | None = Field(None, ge=1, description="Stop after so many evaluations without a new best.")
    crop: int | None = Field(None, ge=2, description="Read a random stretch of at most so many tokens in training.")
    adversarial: float | None = Field(None, gt=0, description="Size of a worst-case shift of each text's embedding.")
    virtual: float | None = Field(None, gt=0, description="Size of a shift that most changes what is said (VAT).")
    entropy: float | None = Field(None, gt=0, description="What doubt about a text costs, labelled or not.")
    teacher: Literal["linear"] | Path | None = Field(
        None, description="Whose word on unlabelled texts is learned too: a model.pt; linear: the run's own baseline."
    )
    average: float | None = Field(
        None, gt=0, lt=1, description="Share of the past in a running mean of the weights, which is what is kept."
    )
    save_every: float = Field(60.0, ge=0, description="Seconds between saves of last.pt within an epoch.")

    @property
    def unlabelled(self) -> bool:
        """True where a classifier learns from texts without labels too."""
        return any(value is not None for value in (self.teacher, self.virtual, self.entropy))


class Episodes(Section):
    """The small tasks of meta-training."""

    ways: int | None = Field(None, ge=2, le=1000, description="Classes drawn for a task; none: all, in every domain.")
    shots: int = Field(5, ge=1, le=1000, description="Texts a class to learn from.")
    queries: int = Field(10, ge=1, le=1000, description="Texts a class to be scored on.")
    query: Literal["balanced", "natural"] = Field("balanced", description="Each class as often, or as found.")
    batch: int = Field(8, ge=1, le=1000, description="Tasks learned side by side, a step.")
    count: int = Field(400, ge=1, le=1_000_000, description="Tasks an epoch.")
    validation: int = Field(100, ge=2, le=100_000, description="Tasks to validate on.")
