"""A recipe as a frozen value that cannot be wrong.

Every field, its default, its limits and its meaning stand here once. Built only by ``recipes.load``,
passed whole, saved inside every checkpoint.
"""

from typing import Literal

from pydantic import Field

from lstmcli.config.base import Section
from lstmcli.config.data import Data, Tokens
from lstmcli.config.learners import (
    Adapted,
    Anchored,
    Finetune,
    Learner,
    LearnerSection,
    LstmOptimizer,
    Maml,
    Matching,
    MetaLstm,
    Prototypical,
    Reptile,
    Ridge,
    Stepping,
)
from lstmcli.config.models import (
    Classifier,
    HeadedReader,
    LanguageModel,
    Model,
    ModelSection,
    Multilabel,
    Reader,
    Tagger,
    TextReader,
)
from lstmcli.config.training import Episodes, Train

__all__ = [
    "Adapted",
    "Anchored",
    "Classifier",
    "Data",
    "Episodes",
    "Finetune",
    "HeadedReader",
    "LanguageModel",
    "Learner",
    "LearnerSection",
    "LstmOptimizer",
    "Maml",
    "Matching",
    "MetaLstm",
    "Model",
    "ModelSection",
    "Multilabel",
    "Prototypical",
    "Reader",
    "Reptile",
    "Ridge",
    "RunConfig",
    "Section",
    "Stepping",
    "Tagger",
    "TextReader",
    "Tokens",
    "Train",
]


class RunConfig(Section):
    """The whole recipe."""

    data: Data = Data()
    tokens: Tokens = Tokens()
    model: Model = Classifier()
    train: Train = Train()
    learner: Learner = Finetune()
    episodes: Episodes | None = Field(
        None, description="Meta-train on few-shot tasks (episodes); none: train on texts."
    )
    seed: int = Field(0, ge=0, lt=2**31, description="Seed of all random numbers; makes the run repeatable.")
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:N.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="Precision of products; auto: bfloat16 where it is fast; float32 where ONNX Runtime scores."
    )
    threads: int | None = Field(None, ge=1, le=4096, description="CPU threads; none: all that the process may use.")

    @property
    def task(self) -> str:
        """What the model is trained for, by its name in ``registry.TASKS``."""
        return self.model.task
