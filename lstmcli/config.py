"""A recipe as a frozen value that cannot be wrong.

Every field, its default, its limits and its meaning stand here once. Built only by ``recipes.load``,
passed whole, saved inside every checkpoint.
"""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationInfo, field_validator


class Section(BaseModel):
    """Frozen; unknown keys are refused; ``none`` means no value where that is allowed."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    @field_validator("*", mode="before")
    @classmethod
    def _plain(cls, value: Any, info: ValidationInfo) -> Any:
        annotation = cls.model_fields[str(info.field_name)].annotation
        allowed = (annotation, *get_args(annotation))
        if isinstance(value, str) and value.lower() == "none" and type(None) in allowed:
            return None
        if isinstance(value, bool) and bool not in allowed:  # YAML reads no, off and yes as truth values
            raise ValueError("is a truth value; put the word in quotes or give a number")
        return value


class Data(Section):
    """What to read."""

    name: str = Field("table", description="Data set: imdb, reviews, or table for files of your own.")
    path: Path | None = Field(None, description="Read from this file or folder.")
    text_column: str = Field("text", description="Column that holds the text.")
    label_column: str = Field("label", description="Column that holds the label.")
    domains: tuple[str, ...] = Field((), description="Only these domains of the data set; none named: all.")
    validation: float = Field(0.1, gt=0, lt=0.9, description="Part of train held out where no validation split is.")
    limit: int | None = Field(None, ge=2, description="A seeded, stratified sample of this many training examples.")
    unlabelled: Path | None = Field(None, description="More texts, without labels: lines, or a column text.")
    bad_rows: Literal["stop", "skip"] = Field("stop", description="What to do with rows that cannot be used.")
    cache: bool = Field(True, description="Keep encoded texts in the user's cache folder.")


class Tokens(Section):
    """How texts become ids."""

    kind: Literal["words", "bpe", "spaces", "given"] = Field(
        "words",
        description="Words and punctuation; byte-pair pieces; what spaces part; or words as the data gives them.",
    )
    size: int = Field(30_000, ge=10, le=1_000_000, description="Largest vocabulary.")
    min_count: int = Field(2, ge=1, description="Rarer words are unknown.")
    lowercase: bool = Field(True, description="Fold case.")
    max_tokens: int = Field(400, ge=2, le=100_000, description="Longer texts keep their head and their tail.")
    head: float = Field(0.5, ge=0, le=1, description="Part of max_tokens that is taken from the head.")


class Reader(Section):
    """What all models share: word vectors, and an LSTM over them."""

    vectors: str | None = Field(None, description="Pretrained: glove, shipped, or a text, bin, zip, npy or .pt file.")
    layers: int = Field(1, ge=1, le=16, description="LSTM layers.")
    weight_drop: float = Field(0.0, ge=0, lt=1, description="Share of recurrent weights dropped in training.")
    forget_bias: float = Field(1.0, ge=-10, le=10, description="Initial bias of the forget gate.")
    init: Path | None = Field(None, description="Begin with the weights and words of this model.pt.")


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


class Episodes(Section):
    """The small tasks of meta-training."""

    ways: int | None = Field(None, ge=2, le=1000, description="Classes drawn for a task; none: all, in every domain.")
    shots: int = Field(5, ge=1, le=1000, description="Texts a class to learn from.")
    queries: int = Field(10, ge=1, le=1000, description="Texts a class to be scored on.")
    query: Literal["balanced", "natural"] = Field("balanced", description="Each class as often, or as found.")
    batch: int = Field(8, ge=1, le=1000, description="Tasks learned side by side, a step.")
    count: int = Field(400, ge=1, le=1_000_000, description="Tasks an epoch.")
    validation: int = Field(100, ge=2, le=100_000, description="Tasks to validate on.")


def _named(default: str) -> Discriminator:
    """Which of several kinds of section is meant: by its name, else the default."""
    return Discriminator(
        lambda value: value.get("name", default) if isinstance(value, dict) else getattr(value, "name", default)
    )


Model = Annotated[
    Annotated[Classifier, Tag("classifier")]
    | Annotated[LanguageModel, Tag("language-model")]
    | Annotated[Tagger, Tag("tagger")],
    _named("classifier"),
]
Learner = Annotated[
    Annotated[Finetune, Tag("finetune")]
    | Annotated[LstmOptimizer, Tag("lstm-optimizer")]
    | Annotated[Maml, Tag("maml")]
    | Annotated[Matching, Tag("matching")]
    | Annotated[MetaLstm, Tag("meta-lstm")]
    | Annotated[Prototypical, Tag("prototypical")]
    | Annotated[Reptile, Tag("reptile")]
    | Annotated[Ridge, Tag("ridge")],
    _named("finetune"),
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
