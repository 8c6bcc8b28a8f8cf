"""Section ``model``: one class per registered model."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, Tag

from lstmcli.config.base import Section, named


class ModelSection(Section):
    """What all models share."""

    task: ClassVar[str]  # that the model is for
    vectors: str | None = Field(None, description="Pretrained: glove, shipped, or a text, bin, zip, npy or .pt file.")
    init: Path | None = Field(None, description="Begin with the weights and words of this model.pt.")


class Reader(ModelSection):
    """What models with an LSTM over word vectors share."""

    layers: int = Field(1, ge=1, le=16, description="LSTM layers.")
    weight_drop: float = Field(0.0, ge=0, lt=1, description="Share of recurrent weights dropped in training.")
    forget_bias: float = Field(1.0, ge=-10, le=10, description="Initial bias of the forget gate.")


class HeadedReader(Reader):
    """What models with a head share."""

    bidirectional: bool = Field(True, description="Read in both directions.")
    context: Path | None = Field(None, description="A language model's model.pt: its states beside word vectors.")


class Classifier(HeadedReader):
    """A (bidirectional) LSTM, pooled over time, and a linear layer."""

    task: ClassVar = "classify"
    name: Literal["classifier"] = "classifier"
    embedding: int = Field(100, ge=1, le=4096, description="Dimensions of a token's vector.")
    hidden: int = Field(128, ge=1, le=8192, description="Cells a direction.")
    pooling: Literal["last", "mean", "max", "max-mean", "attention"] = Field("max-mean", description="Time to one.")
    dropout: float = Field(0.5, ge=0, lt=1, description="On embeddings, between layers and before the linear layer.")
    word_dropout: float = Field(0.0, ge=0, lt=1, description="Share of tokens read as unknown in training.")
    film: bool = Field(False, description="The first word, which says what is asked, scales what is pooled.")
    bag: int = Field(0, ge=0, le=8192, description="Dimensions that tell which words there are, beside the LSTM's.")


class Tagger(HeadedReader):
    """Word vectors beside what is read off the letters, a (bidirectional) LSTM, and a chain of tags (CRF)."""

    task: ClassVar = "tag"
    name: Literal["tagger"] = "tagger"
    embedding: int = Field(50, ge=1, le=4096, description="Dimensions of a word's vector.")
    carried: int = Field(400_000, ge=0, description="Pretrained vectors kept for words that training does not have.")
    characters: Literal["none", "cnn", "lstm"] = Field("cnn", description="What reads the letters of a word.")
    character_embedding: int = Field(25, ge=1, le=1024, description="Dimensions of a letter's vector.")
    character_features: int = Field(50, ge=2, le=4096, description="What is kept of a word's letters.")
    casing: int = Field(8, ge=0, le=256, description="Dimensions that tell capitals and digits; 0: none.")
    hidden: int = Field(200, ge=1, le=8192, description="Cells a direction.")
    head: Literal["crf", "softmax"] = Field("crf", description="Tags scored together, or each by itself.")
    dropout: float = Field(0.5, ge=0, lt=1, description="Before and after the LSTM, the same features at every word.")
    word_dropout: float = Field(0.05, ge=0, lt=1, description="Share of words read as unknown in training.")


class LanguageModel(Reader):
    """Each next word of running text, by an LSTM that carries its state on; in both directions: two such LSTMs."""

    task: ClassVar = "model_language"
    name: Literal["language-model"] = "language-model"
    embedding: int = Field(256, ge=1, le=4096, description="Dimensions of a word's vector, as input and as output.")
    hidden: int = Field(512, ge=1, le=8192, description="Cells a layer.")
    bidirectional: bool = Field(False, description="Another LSTM reads backwards; they share the word vectors.")
    softmax: Literal["full", "sampled", "adaptive"] = Field(
        "full", description="In training over all words, some that are drawn, or by groups of like frequency."
    )
    samples: int = Field(1024, ge=1, le=1_000_000, description="Words that a sampled softmax draws a batch.")
    dropout: float = Field(0.3, ge=0, lt=1, description="Of features, the same at every word, around each LSTM.")
    embedding_dropout: float = Field(0.0, ge=0, lt=1, description="Share of the vocabulary dropped a batch.")
    activation: float = Field(0.0, ge=0, description="What large hidden states cost in training (AR).")
    slowness: float = Field(0.0, ge=0, description="What changes from word to word cost in training (TAR).")


Model = Annotated[
    Annotated[Classifier, Tag("classifier")]
    | Annotated[LanguageModel, Tag("language-model")]
    | Annotated[Tagger, Tag("tagger")],
    named("classifier"),
]
