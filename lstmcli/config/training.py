"""Sections ``train`` and ``episodes``: how weights are learned."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from lstmcli.config.base import Section
from lstmcli.config.data import Label
from lstmcli.errors import did_you_mean

BALANCED, ADJUSTED = "balanced", "adjusted"
ClassWeights = Literal["balanced", "adjusted"] | dict[Label, float]


class Train(Section):
    """How weights are learned."""

    epochs: int = Field(5, ge=1, le=10_000, description="Passes over the training data.")
    batch_tokens: int = Field(16_384, ge=1, le=10_000_000, description="Tokens per batch, including padding.")
    min_steps: int | None = Field(
        None,
        ge=1,
        description="Take at least this many steps: epochs, batch_tokens and patience, where the recipe does not give "
        "them, follow from the amount of data; none: off.",
    )
    accumulate: int = Field(1, ge=1, le=10_000, description="Batches whose gradients are accumulated per step.")
    bptt: int = Field(64, ge=1, le=100_000, description="Of language models: tokens per truncated backpropagation.")
    optimizer: Literal["adam", "adamw", "sgd"] = Field("adamw", description="Gradient-based optimiser.")
    lr: float = Field(2e-3, gt=0, lt=100, description="Peak learning rate.")
    encoder_lr_scale: float = Field(
        1.0, gt=0, le=1, description="Learning rate of word vectors and LSTM as a fraction of lr (ULMFiT)."
    )
    weight_decay: float = Field(0.01, ge=0, lt=10, description="Weight decay; adamw: decoupled.")
    schedule: Literal["one-cycle", "constant"] = Field("one-cycle", description="Learning rate schedule.")
    warmup: float = Field(0.2, ge=0, lt=1, description="Fraction of a one-cycle run in which the rate rises.")
    clip: float | None = Field(1.0, gt=0, description="Maximum norm of the gradient; none: no clipping.")
    patience: int | None = Field(
        None, ge=1, description="Stop after this many evaluations without a new best; none: never."
    )
    best_by: Literal["score", "loss"] = Field(
        "score", description="What decides on the best epoch, on validation data: the task's score, or the loss."
    )
    crop: int | None = Field(
        None, ge=2, description="Train on a random span of at most this many tokens per text; none: whole texts."
    )
    adversarial_epsilon: float | None = Field(
        None, gt=0, description="Norm of the adversarial perturbation of embeddings (Miyato et al. 2017); none: off."
    )
    vat_epsilon: float | None = Field(
        None, gt=0, description="Norm of the virtual adversarial perturbation, unlabelled texts too (VAT); none: off."
    )
    entropy_weight: float | None = Field(
        None, gt=0, description="Weight of entropy minimisation, unlabelled texts too; none: off."
    )
    teacher: Literal["linear"] | Path | None = Field(
        None, description="Teacher for distillation on unlabelled texts: a model.pt; linear: the run's own baseline."
    )
    embeddings: Path | None = Field(
        None,
        description="Parquet file of texts and a teacher's embeddings for model.sentence_embedding; none: off.",
    )
    probe: bool = Field(
        False,
        description="With model.init: first fit the head by logistic regression on the frozen encoder (LP-FT, 2022).",
    )
    target_precision: float | None = Field(
        None, gt=0, lt=1, description="Give no label below the lowest probability from which on this fraction is right."
    )
    target_coverage: float | None = Field(
        None, gt=0, le=1, description="Give no label below the highest probability that this fraction of texts reaches."
    )
    ema_decay: float | None = Field(
        None, gt=0, lt=1, description="Decay of the exponential moving average of weights, which is kept; none: off."
    )
    class_weights: ClassWeights | None = Field(
        None,
        description="Weights of labels: balanced (inverse to their frequency), adjusted (logit adjustment, tuned for "
        "macro F1), or {LABEL: WEIGHT}; none: all alike.",
    )
    save_every: float = Field(60.0, ge=0, description="Seconds between saves of last.pt within an epoch.")

    @field_validator("class_weights", mode="before")
    @classmethod
    def _weights(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            for label, weight in value.items():
                number = isinstance(weight, int | float) and not isinstance(weight, bool)
                if not (number and 0 < weight < float("inf")):
                    raise ValueError(f"has no number above 0 for the label '{label}'")
        elif value is not None and str(value).lower() not in ("none", BALANCED, ADJUSTED):
            known = did_you_mean(str(value), ("none", BALANCED, ADJUSTED))
            raise ValueError(f"is not allowed ({known}); or weights by label: --set train.class_weights='{{LABEL: 5}}'")
        return None if str(value).lower() == "none" else value

    @property
    def unlabelled(self) -> bool:
        """True where a classifier learns from texts without labels too."""
        return any(value is not None for value in (self.teacher, self.vat_epsilon, self.entropy_weight))


class Episodes(Section):
    """The few-shot tasks of meta-training."""

    ways: int | None = Field(
        None, ge=2, le=1000, description="Classes drawn per task; none: all classes of one domain per task."
    )
    shots: int = Field(5, ge=1, le=1000, description="Support texts per class.")
    queries: int = Field(10, ge=1, le=1000, description="Query texts per class.")
    query: Literal["balanced", "natural"] = Field(
        "balanced", description="Classes of the query set: equally often, or as often as in the data."
    )
    batch: int = Field(8, ge=1, le=1000, description="Tasks per meta-batch.")
    count: int = Field(400, ge=1, le=1_000_000, description="Tasks per epoch.")
    validation: int = Field(100, ge=2, le=100_000, description="Tasks to validate on.")
