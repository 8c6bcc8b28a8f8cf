"""Section ``model``: one class per registered model."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, Tag

from lstmcli.config.base import Section, named


class ModelSection(Section):
    """What all models share. task: what the model is trained for, by its name in ``registry.TASKS``; of_sets: the name
    of the model with the same fields for sets of labels, which ``data.label_separator`` selects; empty: none."""

    task: ClassVar[str]
    of_sets: ClassVar[str] = ""
    vectors: str | None = Field(
        None, description="Pretrained word vectors: glove, shipped, or a text, bin, zip, npy or .pt file; none: random."
    )
    init: Path | None = Field(None, description="Start from the weights and vocabulary of this model.pt.")


class Reader(ModelSection):
    """What models with an LSTM over word vectors share."""

    layers: int = Field(1, ge=1, le=16, description="Number of LSTM layers.")
    weight_drop: float = Field(
        0.0, ge=0, lt=1, description="DropConnect rate on recurrent weights in training (AWD-LSTM, Merity et al. 2018)."
    )
    forget_bias: float = Field(1.0, ge=-10, le=10, description="Initial bias of the forget gate.")


class HeadedReader(Reader):
    """What models with a head share."""

    bidirectional: bool = Field(True, description="Read in both directions.")
    context: Path | None = Field(
        None, description="A language model's model.pt whose hidden states are added as features of each word."
    )


class TextReader(HeadedReader):
    """What models that label whole texts share."""

    embedding: int = Field(100, ge=1, le=4096, description="Dimensions of a token's vector.")
    hidden: int = Field(128, ge=1, le=8192, description="LSTM cells per direction.")
    pooling: Literal["last", "mean", "max", "max-mean", "attention"] = Field(
        "max-mean", description="How hidden states are pooled over time."
    )
    dropout: float = Field(
        0.5, ge=0, lt=1, description="Dropout rate on embeddings, between layers and before the linear layer."
    )
    word_dropout: float = Field(0.0, ge=0, lt=1, description="Fraction of tokens replaced by <unk> in training.")
    film: bool = Field(
        False, description="The first word conditions the pooled features by scale and shift (FiLM, Perez et al. 2018)."
    )
    sentence_embedding: int = Field(
        0, ge=0, le=8192, description="Dimensions of a sentence embedding, a linear map of the pooled states; 0: none."
    )
    bag_of_words: int = Field(
        0, ge=0, le=8192, description="Dimensions of a bag-of-words feature (random projection); 0: none."
    )


class Classifier(TextReader):
    """A (bidirectional) LSTM, pooled over time, and a linear layer."""

    task = "classify"
    name: Literal["classifier"] = "classifier"
    of_sets = "multilabel"


class Multilabel(TextReader):
    """The same model where a text can have several labels, or none: a probability for each label by itself."""

    task = "multilabel"
    name: Literal["multilabel"] = "multilabel"


class Tagger(HeadedReader):
    """Word vectors and character features, a (bidirectional) LSTM, and a linear-chain CRF or a softmax."""

    task = "tag"
    WIDTH: ClassVar[int] = 3  # of the convolution, in characters
    name: Literal["tagger"] = "tagger"
    embedding: int = Field(50, ge=1, le=4096, description="Dimensions of a word's vector.")
    frozen_vectors: int = Field(
        400_000, ge=0, description="Pretrained vectors kept, frozen, for words that are not in the training data."
    )
    characters: Literal["none", "cnn", "lstm"] = Field("cnn", description="Encoder of a word's characters.")
    character_embedding: int = Field(25, ge=1, le=1024, description="Dimensions of a character's vector.")
    character_features: int = Field(50, ge=2, le=4096, description="Dimensions of the character encoder's output.")
    casing: int = Field(8, ge=0, le=256, description="Dimensions of the embedding of capitals and digits; 0: none.")
    hidden: int = Field(200, ge=1, le=8192, description="LSTM cells per direction.")
    head: Literal["crf", "softmax"] = Field(
        "crf", description="crf: score tag sequences (Lample et al. 2016); softmax: each tag by itself."
    )
    dropout: float = Field(
        0.5, ge=0, lt=1, description="Dropout rate before and after the LSTM, one mask per sentence (variational)."
    )
    word_dropout: float = Field(0.05, ge=0, lt=1, description="Fraction of words replaced by <unk> in training.")


class LanguageModel(Reader):
    """An LSTM that predicts the next word of a token stream; bidirectional: two independent LSTMs."""

    task = "model_language"
    name: Literal["language-model"] = "language-model"
    embedding: int = Field(256, ge=1, le=4096, description="Dimensions of a word's vector; input and output are tied.")
    hidden: int = Field(512, ge=1, le=8192, description="LSTM cells per layer.")
    bidirectional: bool = Field(False, description="Add an LSTM that reads backwards and shares the word vectors.")
    softmax: Literal["full", "sampled", "adaptive"] = Field(
        "full", description="Training loss: over all words, over sampled words, or over frequency groups."
    )
    samples: int = Field(1024, ge=1, le=1_000_000, description="Words drawn per batch by the sampled softmax.")
    dropout: float = Field(
        0.3, ge=0, lt=1, description="Dropout rate before and after each LSTM, one mask per sequence (variational)."
    )
    embedding_dropout: float = Field(0.0, ge=0, lt=1, description="Fraction of the vocabulary dropped per batch.")
    ar_weight: float = Field(
        0.0, ge=0, description="Weight of activation regularisation (AR, Merity et al. 2017); 0: off."
    )
    tar_weight: float = Field(
        0.0, ge=0, description="Weight of temporal activation regularisation (TAR, Merity et al. 2017); 0: off."
    )


Model = Annotated[
    Annotated[Classifier, Tag("classifier")]
    | Annotated[LanguageModel, Tag("language-model")]
    | Annotated[Multilabel, Tag("multilabel")]
    | Annotated[Tagger, Tag("tagger")],
    named("classifier"),
]
