"""A recipe as a frozen value that cannot be wrong.

Every field, its default, its limits and its meaning stand here once. Built only by ``recipes.load``,
passed whole, saved inside every checkpoint.
"""

from typing import Literal

from pydantic import Field

from lstmcli.config.base import Section
from lstmcli.config.data import Data, Tokens
from lstmcli.config.learners import (
    Finetune,
    Learner,
    LstmOptimizer,
    Maml,
    Matching,
    MetaLstm,
    Moving,
    Prototypical,
    Reptile,
    Ridge,
    Stepping,
)
from lstmcli.config.models import Classifier, HeadedReader, LanguageModel, Model, ModelSection, Reader, Tagger
from lstmcli.config.training import Episodes, Train

__all__ = [
    "Classifier",
    "Data",
    "Episodes",
    "Finetune",
    "HeadedReader",
    "LanguageModel",
    "Learner",
    "LstmOptimizer",
    "Maml",
    "Matching",
    "MetaLstm",
    "Model",
    "ModelSection",
    "Moving",
    "Prototypical",
    "Reader",
    "Reptile",
    "Ridge",
    "RunConfig",
    "Section",
    "Stepping",
    "Tagger",
    "Tokens",
    "Train",
]


class RunConfig(Section):
    """The whole recipe."""

    task: Literal["classify", "tag", "model_language"] = "classify"
    data: Data = Data()
    tokens: Tokens = Tokens()
    model: Model = Classifier()
    train: Train = Train()
    learner: Learner = Finetune()
    episodes: Episodes | None = Field(None, description="Train on small tasks, to adapt well; none: on texts.")
    seed: int = Field(0, ge=0, lt=2**31, description="Makes the run repeatable.")
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:N.")
    precision: Literal["auto", "float32", "bfloat16"] = Field("auto", description="auto: bfloat16 where it is fast.")
    threads: int | None = Field(None, ge=1, le=4096, description="CPU threads; none: as many as are granted.")
