"""Sections of new models and a new learner: the first go into ``config/models.py``, the other into
``config/learners.py``, each with a line in the union at the file's end."""

from typing import Literal

from pydantic import Field

from lstmcli.config import LearnerSection, ModelSection


class Convolution(ModelSection):
    """A convolution over word vectors, a maximum over time, and a linear layer."""

    embedding: int = Field(50, ge=1, le=4096, description="Dimensions of a word's vector.")
    channels: int = Field(100, ge=1, le=4096, description="Features of the convolution.")
    width: int = Field(3, ge=1, le=9, description="Words that a feature spans.")
    dropout: float = Field(0.5, ge=0, lt=1, description="On the features.")


class Cnn(Convolution):
    """The model for the task of classification."""

    task = "classify"
    name: Literal["cnn"] = "cnn"


class Rater(Convolution):
    """The same model for a task of its own."""

    task = "rate"
    name: Literal["rater"] = "rater"


class Gaussian(LearnerSection):
    """Each class a normal distribution with a variance per feature that all classes share."""

    name: Literal["gaussian"] = "gaussian"
    floor: float = Field(0.1, gt=0, lt=100, description="Added to each variance, at the start; learned.")
