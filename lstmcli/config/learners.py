"""Section ``learner``: one class per registered learner."""

from typing import Annotated, Literal

from pydantic import Field, Tag

from lstmcli.config.base import Section, named

Moving = Literal["all", "lstm+head", "biases+head", "head"]  # lstm+head: all but the embedding


class Finetune(Section):
    """Fine-tuning on the support set alone: needs no meta-training."""

    name: Literal["finetune"] = "finetune"
    moves: Moving = Field("head", description="Weights that are fitted.")
    steps: int = Field(100, ge=0, le=100_000, description="Gradient steps.")
    lr: float = Field(0.03, gt=0, lt=100, description="Learning rate.")
    anchor: float = Field(0.03, ge=0, description="Pull back towards the weights before adaptation (L2-SP).")


class Stepping(Section):
    """What learners share that are trained through their own inner steps."""

    order: Literal["first", "second"] = Field("first", description="Second: exact, through the inner gradients too.")
    start: Literal["own", "prototypes"] = Field(
        "own", description="Head before the first step: the model's, or made of each class's mean in the support."
    )
    steps: int = Field(5, ge=0, le=100_000, description="Inner steps.")
    multi_step: float = Field(0.0, ge=0, lt=1, description="Share of the meta-loss that earlier steps have (MAML++).")


class Maml(Stepping):
    """Weights that a few gradient steps bend to a task (MAML, ANIL, Meta-SGD, MAML++)."""

    name: Literal["maml"] = "maml"
    moves: Moving = Field("all", description="Weights that the inner steps move; head: ANIL.")
    lr: float = Field(0.1, gt=0, lt=100, description="Inner learning rate; where rates are learned, the first.")
    rates: Literal["fixed", "weight", "layer-step"] = Field(
        "fixed", description="Learned inner rates: one a weight (Meta-SGD), or one a layer and step (MAML++)."
    )


class Reptile(Section):
    """Weights near to where many steps on each task lead."""

    name: Literal["reptile"] = "reptile"
    moves: Moving = Field("all", description="Weights that the inner steps move.")
    steps: int = Field(10, ge=0, le=100_000, description="Inner gradient steps.")
    lr: float = Field(0.1, gt=0, lt=100, description="Inner learning rate.")


class LstmOptimizer(Stepping):
    """A small LSTM that makes each step of a weight out of its gradients so far."""

    name: Literal["lstm-optimizer"] = "lstm-optimizer"
    moves: Moving = Field("head", description="Weights that the inner steps move.")
    lr: float = Field(0.1, gt=0, lt=100, description="Rate of the plain gradient step that it begins with; learned.")
    momentum: float = Field(0.1, gt=0, lt=1, description="Share of the last step that it begins with; learned.")
    hidden: int = Field(20, ge=1, le=1024, description="Cells a layer, for each weight.")
    layers: int = Field(2, ge=1, le=8, description="LSTM layers.")
    sees_weights: bool = Field(False, description="It sees the weight too, not its gradient alone.")
    sees_task: bool = Field(False, description="It sees the task's gradient as a whole, and goes by the curvature.")
    truncate: int = Field(20, ge=1, le=100_000, description="Steps that a derivative goes back.")


class MetaLstm(Stepping):
    """The weights are the cell of an LSTM, which learns when to forget them and how much of a gradient to let in."""

    name: Literal["meta-lstm"] = "meta-lstm"
    moves: Moving = Field("head", description="Weights that the inner steps move.")
    lr: float = Field(0.1, gt=0, lt=1, description="Input gate at the start, which is a learning rate.")


class Matching(Section):
    """The labels of what is near in the support; LSTMs see each text in the light of the whole support."""

    name: Literal["matching"] = "matching"
    distance: Literal["cosine", "squared"] = Field("squared", description="What near means.")
    nearness: float = Field(1.0, gt=0, lt=1000, description="How fast it falls off, at the start; learned.")
    reads: int = Field(3, ge=0, le=100, description="Times a text reads the support; 0: no context on either side.")
    hidden: int = Field(64, ge=1, le=8192, description="Cells of the LSTMs that read the support.")


class Prototypical(Section):
    """The class whose texts have the nearest mean."""

    name: Literal["prototypical"] = "prototypical"


class Ridge(Section):
    """The head that fits the support best, in closed form."""

    name: Literal["ridge"] = "ridge"
    strength: float = Field(0.1, gt=0, lt=1000, description="What holds the head small, at the start; learned.")
    sharpness: float = Field(10.0, gt=0, lt=1000, description="Of its answers, at the start; learned.")


Learner = Annotated[
    Annotated[Finetune, Tag("finetune")]
    | Annotated[LstmOptimizer, Tag("lstm-optimizer")]
    | Annotated[Maml, Tag("maml")]
    | Annotated[Matching, Tag("matching")]
    | Annotated[MetaLstm, Tag("meta-lstm")]
    | Annotated[Prototypical, Tag("prototypical")]
    | Annotated[Reptile, Tag("reptile")]
    | Annotated[Ridge, Tag("ridge")],
    named("finetune"),
]
