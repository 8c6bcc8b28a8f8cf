"""Section ``learner``: one class per registered learner."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, Tag

from lstmcli.config.base import Section, named

Adapted = Literal["all", "lstm+head", "biases+head", "head"]  # lstm+head: all but the embedding


class LearnerSection(Section):
    """What all learners share. meta_trained: whether there is something to learn from episodes."""

    meta_trained: ClassVar[bool] = True


class Anchored(LearnerSection):
    """Logistic regression of the head with a penalty towards the model's own head; needs no meta-training."""

    meta_trained = False
    name: Literal["anchored"] = "anchored"
    l2: float | None = Field(
        None, gt=0, description="L2 penalty on the change of the head; none: by cross-validation on the support."
    )
    prior: Literal["support", "model"] = Field(
        "support",
        description="Class priors after adaptation: those of the support; or the model's own, for a support that was "
        "drawn with other class frequencies than its domain has.",
    )
    label_names: bool = Field(
        True,
        description="Names of new labels, such as card_arrival, count as one text each if they tell the texts of the "
        "support apart.",
    )


class Finetune(LearnerSection):
    """Fine-tuning on the support set alone; needs no meta-training."""

    meta_trained = False
    name: Literal["finetune"] = "finetune"
    adapted_parameters: Adapted = Field("head", description="Parameters that adaptation changes.")
    steps: int = Field(100, ge=0, le=100_000, description="Gradient steps.")
    lr: float = Field(0.03, gt=0, lt=100, description="Learning rate.")
    anchor: float = Field(
        0.03, ge=0, description="Weight of the L2 penalty towards the weights before adaptation (L2-SP); 0: off."
    )


class Stepping(LearnerSection):
    """What learners share that are trained through their own inner steps."""

    order: Literal["first", "second"] = Field(
        "first", description="Order of the meta-gradient; first: inner gradients count as constants."
    )
    head_init: Literal["model", "prototypes"] = Field(
        "model", description="Head before the first step: the model's, or made of class means of the support."
    )
    steps: int = Field(5, ge=0, le=100_000, description="Inner steps.")
    multi_step_loss_weight: float = Field(
        0.0, ge=0, lt=1, description="Weight of the losses after earlier inner steps in the meta-loss (MAML++); 0: off."
    )


class Maml(Stepping):
    """Model-agnostic meta-learning (MAML, ANIL, Meta-SGD, MAML++)."""

    name: Literal["maml"] = "maml"
    adapted_parameters: Adapted = Field("all", description="Parameters that the inner steps change; head: ANIL.")
    lr: float = Field(0.1, gt=0, lt=100, description="Inner learning rate; initial value if rates are learned.")
    rates: Literal["fixed", "weight", "layer-step"] = Field(
        "fixed", description="Inner rates: fixed; learned per weight (Meta-SGD) or per layer and step (MAML++)."
    )


class Reptile(LearnerSection):
    """Reptile (Nichol et al. 2018): move towards the weights that many steps on each task reach."""

    name: Literal["reptile"] = "reptile"
    adapted_parameters: Adapted = Field("all", description="Parameters that the inner steps change.")
    steps: int = Field(10, ge=0, le=100_000, description="Inner gradient steps.")
    lr: float = Field(0.1, gt=0, lt=100, description="Inner learning rate.")


class LstmOptimizer(Stepping):
    """A small LSTM computes each weight's update from its gradients (Andrychowicz et al. 2016)."""

    name: Literal["lstm-optimizer"] = "lstm-optimizer"
    adapted_parameters: Adapted = Field("head", description="Parameters that the inner steps change.")
    lr: float = Field(0.1, gt=0, lt=100, description="Initial rate of the plain gradient step; learned.")
    momentum: float = Field(0.1, gt=0, lt=1, description="Initial momentum; learned.")
    hidden: int = Field(20, ge=1, le=1024, description="LSTM cells per layer, for each weight.")
    layers: int = Field(2, ge=1, le=8, description="LSTM layers.")
    sees_weights: bool = Field(False, description="Also input the weight, not its gradient alone.")
    sees_task: bool = Field(False, description="Also input features of the task's whole gradient and curvature.")
    unroll: int = Field(20, ge=1, le=100_000, description="Steps per truncated backpropagation.")


class MetaLstm(Stepping):
    """The weights are the cell state of an LSTM, whose gates are learned (Ravi and Larochelle 2017)."""

    name: Literal["meta-lstm"] = "meta-lstm"
    adapted_parameters: Adapted = Field("head", description="Parameters that the inner steps change.")
    lr: float = Field(0.1, gt=0, lt=1, description="Initial value of the input gate, which acts as learning rate.")


class Matching(LearnerSection):
    """Matching network (Vinyals et al. 2016): attention over the support, embedded in its context."""

    name: Literal["matching"] = "matching"
    distance: Literal["cosine", "squared"] = Field("squared", description="Similarity: cosine, or squared distance.")
    logit_scale: float = Field(1.0, gt=0, lt=1000, description="Initial scale of the similarities; learned.")
    processing_steps: int = Field(
        3, ge=0, le=100, description="Attention steps of a query over the support; 0: no context embeddings."
    )
    hidden: int = Field(64, ge=1, le=8192, description="Cells of the LSTMs that embed support and query in context.")


class Prototypical(LearnerSection):
    """Prototypical network (Snell et al. 2017): the class with the nearest mean."""

    name: Literal["prototypical"] = "prototypical"


class Ridge(LearnerSection):
    """Ridge regression of the head on the support, in closed form (Bertinetto et al. 2019)."""

    name: Literal["ridge"] = "ridge"
    l2: float = Field(0.1, gt=0, lt=1000, description="Initial L2 penalty of the head; learned.")
    logit_scale: float = Field(10.0, gt=0, lt=1000, description="Initial scale of the logits; learned.")


Learner = Annotated[
    Annotated[Anchored, Tag("anchored")]
    | Annotated[Finetune, Tag("finetune")]
    | Annotated[LstmOptimizer, Tag("lstm-optimizer")]
    | Annotated[Maml, Tag("maml")]
    | Annotated[Matching, Tag("matching")]
    | Annotated[MetaLstm, Tag("meta-lstm")]
    | Annotated[Prototypical, Tag("prototypical")]
    | Annotated[Reptile, Tag("reptile")]
    | Annotated[Ridge, Tag("ridge")],
    named("finetune"),
]
