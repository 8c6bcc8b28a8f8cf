"""The interfaces of a data set, a task, a model and a learner.

Each is a module; the ``build`` of a learner's module makes a ``Learner``. The Protocols list the required members, the
classes ``...Hooks`` the optional ones with their defaults; ``hooks(ReaderHooks, module)`` reads them from a module.

Two parameter names are fixed, so that no other file needs to know any: ``EMBEDDING`` and ``HEAD``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from torch import Tensor, nn

    from lstmcli.config import Data
    from lstmcli.types import Batch, Episode, Loss, Mean, Metrics, Rows, TokenScores

    Array = np.ndarray[Any, np.dtype[Any]]

EMBEDDING = "embedding"  # of every model: its torch.nn.Embedding of words, a row per word of the vocabulary
HEAD = "head"  # of a model with labels: its last torch.nn.Linear, a row per label; maps scores.embedding to logits

Reads = Literal["text", "words", "stream"]
H = TypeVar("H")


class Reader(Protocol):
    """A data set: a module in ``data/readers``, registered in ``registry.DATASETS``. It imports no torch.

    HUB: the data set's name on the Hugging Face hub, empty if it is not there; SPECIMEN: a tiny data set, file name to
    content, without a faulty row, which the contract tests write and read.
    """

    HUB: str
    SPECIMEN: dict[str, str]

    def splits(self, root: Path, /) -> tuple[str, ...]:
        """Return the splits in the file or folder, of train, validation and test; empty if it holds no such data."""

    def read(self, root: Path, split: str, options: Data, /) -> Rows:
        """Every usable row of the split in a fixed order, and what is wrong with each other row.

        Raises:
            DataError: "no split ...", or a file that cannot be read. No content of a file raises anything else.
        """


@dataclass(frozen=True)
class ReaderHooks:
    """Optional members of a reader's module.

    BUNDLED: the folder of the data, where it is part of the package. DOMAINS: the domains that ``--data NAME:DOMAIN``
    and ``data.domains`` select. TOGETHER: rows that belong together (reviews of one film) are neighbours, and
    validation is held out as consecutive rows. SPANS: it reads the folders of several data sets; its root is the folder
    that holds them, ``$LSTMCLI_DATA``. UNLABELLED: the name of a split of texts without labels. fits: whether a path is
    data of this kind; only those of ``table`` and ``conll2003`` are called, for ``lstmcli train PATH``.
    """

    BUNDLED: Path | None = None
    DOMAINS: tuple[str, ...] = ()
    TOGETHER: bool = False
    SPANS: bool = False
    UNLABELLED: str | None = None
    fits: Callable[[Path], bool] | None = None


class Task(Protocol):
    """What a model is for: a module in ``tasks``, registered in ``registry.TASKS``; imports no torch at its top, since
    recipes and data are checked before torch is loaded.

    The outputs are what evaluation keeps of a model's scores: an array with one entry per text.

    READS: ``text``: texts with one label each (LABEL_SETS: sets), and it is a ``TextTask``; ``words``: lists of words
    with one tag per word; ``stream``: token streams without labels, and it is a ``StreamTask``. Which tokens, options
    and commands fit a model follows from it. PRIMARY: the metric of ``measure`` that is compared with the baselines.
    """

    READS: Reads
    PRIMARY: str

    def loss(self, scores: Any, batch: Batch, /) -> Mean:
        """Return the training loss, a mean over texts or words. ``batch.targets`` are the numbers of the labels, with
        LABEL_SETS 1 or 0 ``[text, label]``; of a ``TextTask``, where a teacher labels, probabilities ``[text, label]``,
        all zero for a text that does not count."""

    def outputs(self, scores: Any, /) -> Array:
        """Return the outputs of a batch, ``[text, ...]``, on the CPU."""

    def calibrate(self, outputs: Array, targets: Array, /) -> float:
        """Return the temperature that fits held-out data best; 1 where there is nothing to calibrate."""

    def probabilities(self, outputs: Array, temperature: float, /) -> Array:
        """Return the outputs as probabilities at this temperature, ``[text, ...]``."""

    def measure(self, probabilities: Array, targets: Array, /, *, seed: int = 0) -> Metrics:
        """Each metric with its interval, ``PRIMARY`` among them."""

    def summary(self, outputs: Array, targets: Array, temperature: float = 1.0, /) -> dict[str, float]:
        """Figures for the training loop: ``score``, higher is better, and ``loss``; more where they help."""

    def describe(self, outputs: Array, labels: Sequence[str], temperature: float, /) -> list[dict[str, Any]]:
        """Return the prediction for each text."""

    def blank(self, labels: Sequence[str], /) -> dict[str, Any]:
        """Return the answer of ``predict`` to a row that cannot be used: the same keys without values."""

    def fit_baselines(self, codes: Array, offsets: Array, targets: Array, /, *, labels: int) -> dict[str, Array]:
        """Baselines on the training texts, as arrays by name; text ``i`` has codes ``offsets[i]`` to ``[i + 1]``."""

    def baseline_probabilities(self, fitted: dict[str, Array], codes: Array, offsets: Array, /) -> dict[str, Array]:
        """Return the probabilities of each baseline, by its name."""


@dataclass(frozen=True)
class TaskHooks:
    """Optional members of a task's module.

    LOWER_IS_BETTER: of ``PRIMARY``. HEADING: of its recipes in the list of ``lstmcli train``. details(probabilities,
    targets, labels, seed=): more for the report of ``evaluate``. decide, operating_points: as in tasks/decisions.py, of
    a task whose answer is the likeliest label. weighted: the task with class weights (``tasks/class_weights.py``).
    LABEL_SETS: texts have sets of labels; thresholded: that task with a threshold per label (``tasks/multilabel.py``).
    """

    LOWER_IS_BETTER: bool = False
    HEADING: str = "other tasks"
    details: Callable[..., dict[str, Any]] | None = None
    decide: Callable[[Array, Mapping[int, float], float], Array] | None = None
    operating_points: Callable[..., dict[str, Any]] | None = None
    weighted: Callable[..., Any] | None = None
    LABEL_SETS: bool = False
    thresholded: Callable[..., Any] | None = None


class TextTask(Task, Protocol):
    """A task of labels of whole texts: regularisers, and figures of few-shot episodes."""

    def entropy(self, scores: Any, /) -> Tensor:
        """Return the entropy of the scores in nats, a mean over texts."""

    def divergence(self, scores: Any, before: Any, /) -> Tensor:
        """KL divergence of the scores from those before in nats, a mean over texts."""

    def episode_figures(self, probabilities: Array, targets: Array, /) -> dict[str, float]:
        """Each metric of one episode."""

    def over_episodes(self, figures: Sequence[dict[str, float]], /, *, seed: int = 0, least: float = 0.0) -> Metrics:
        """Return the mean of each metric over episodes, with its interval."""

    def text_features(self, texts: Sequence[str], /) -> Any:
        """Sparse features of the texts for the baselines of few-shot episodes, ``[text, term]``."""

    def support_probabilities(self, support: Any, targets: Array, query: Any, /, *, labels: int) -> dict[str, Array]:
        """By baseline that learns from the support alone, the probabilities of the query, ``[text, label]``."""


class StreamTask(Task, Protocol):
    """A task of token streams."""

    def kept(self, losses: Array, counts: Array, /) -> Array:
        """Return the outputs of texts. losses: ``[direction, text]``; counts: words, ``[text]``."""

    def unknown_words(self, unknown: Array, words: Array, /, *, seed: int = 0) -> Metrics:
        """Return the fraction of unknown words."""

    def by_character(self, outputs: Array, characters: Array, spelled: Array, /, *, seed: int = 0) -> Metrics:
        """Bits per character."""

    def spelling_costs(self, known: Any, unknown: Any, /) -> list[float]:
        """Nats that the spelling of the unknown words of each text costs."""


class Model(Protocol):
    """A model: a module in ``models``, registered in ``registry.MODELS``; its section in ``config/models.py``.

    The section is a ``ModelSection``: ``name`` is the registered name, ``task`` the task; ``vectors`` and ``init`` come
    with it. These options of a section have a meaning outside the model, each only where the section has it:
    ``embedding`` (dimensions of pretrained vectors), ``hidden`` (cells per direction, for the memory of a step),
    ``context`` (a language model that reads with it), ``bag_of_words``, ``frozen_vectors`` and ``softmax``.

    ``build`` returns a ``torch.nn.Module`` that maps a ``Batch`` to the scores of its task: ``ClassScores``,
    ``TagScores`` or ``TokenScores``. Training needs of it: an ``embedding`` (``EMBEDDING``), a ``head`` (``HEAD``) if
    it has labels; scores of a text that depend neither on its neighbours in the batch nor on padding; weights that are
    read from its parameters at each call, so that ``functional_call`` and ``vmap`` can substitute them; and in
    evaluation no randomness.
    """

    def build(self, config: Any, *, words: int, labels: int) -> nn.Module:
        """Return a model with new weights, drawn from torch's global generator.

        Args:
            config: The model's section.
            words: Rows of the embedding; 0 is padding, 1 the unknown word.
            labels: Rows of the head.

        A model that has the option takes ``context``, a language model, and ``frozen_words``, the number of words with
        frozen pretrained vectors, by keyword. It is also built on the meta device, to compare a file's tensors with it.
        """

    def shape(self, config: Any) -> dict[str, object]:
        """Return the options of the section that decide the shape of the weights, and their values.

        A run can begin with the weights of another (``model.init``) whose shape is the same.
        """


@dataclass(frozen=True)
class ModelHooks:
    """Optional members of a model's module.

    ENCODER: the submodules that train at the fraction ``train.encoder_lr_scale`` of the learning rate; None: all at
    one. BY_WORD: the parameters and buffers with one row per word, shortened by ``export``. CONTEXT: the submodule of a
    language model that reads with it. FROZEN_VECTORS: the buffer of pretrained vectors. READER: the LSTM that reads the
    words. PARENTS: other models to begin with, by name, and the options that must agree. inherited: the weights of such
    a model that are taken over, under their names here. with_bag: the weights with a bag of words.
    """

    ENCODER: tuple[str, ...] = ()
    BY_WORD: tuple[str, ...] = (f"{EMBEDDING}.weight",)
    CONTEXT: str | None = None
    FROZEN_VECTORS: str | None = None
    READER: str | None = None
    PARENTS: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    inherited: Callable[[dict[str, Tensor]], dict[str, Tensor]] | None = None
    with_bag: Callable[..., dict[str, Tensor]] | None = None


class StreamModel(Protocol):
    """A model of token streams, as ``build`` of a model of the task ``model_language`` returns it."""

    def __call__(self, batch: Batch, state: tuple[Tensor, Tensor] | None = None, /) -> TokenScores:
        """Return the scores, from the state on if there is one, with the state after the last token."""

    def begin(self, rows: int, /) -> tuple[Tensor, Tensor]:
        """Return the initial state of so many rows."""

    def following(self, batch: Batch, /) -> Tensor:
        """Log probabilities of the word after each text, ``[batch, word]``."""


class LearnerKind(Protocol):
    """A few-shot learner: a module in ``meta``, registered in ``registry.LEARNERS``; its section in
    ``config/learners.py`` is a ``LearnerSection``. Sections with ``steps`` take gradient steps, whose number ``adapt``
    can choose. ``meta_trained`` (True): the learner has something to learn from episodes."""

    def build(self, config: Any, model: nn.Module, /) -> Learner:
        """Return a learner for models of this kind. config: the learner's section."""


class Learner(Protocol):
    """A learner: a ``torch.nn.Module`` of what it learns beside the model (rates); derive it from
    ``meta.inner.Learner``, which has all but ``trajectory``.

    Everything has a leading dimension of tasks: weights ``[task, ...]``, tokens ``[task, batch, time]``.

    names: of the adapted parameters, or of what the learner stores of a support. uses_support_prior (False): after
    adaptation class probabilities follow the class priors of the support. whole_texts (False): it needs models that
    label whole texts. exact_gradient (True): with ``order: second``, where the section has it, the gradient of
    ``meta_loss`` is the derivative of its value, which the contract tests hold against a finite difference; False where
    the method defines another gradient (Reptile), or none (fine-tuning). label_sets (False): it learns sets of labels.
    """

    names: list[str]
    uses_support_prior: bool
    whole_texts: bool
    exact_gradient: bool
    label_sets: bool

    def trajectory(self, model: nn.Module, support: Batch, loss: Loss, /) -> Iterator[dict[str, Tensor]]:
        """Return the weights of each task before the first and after each step; the model stays as it is. Also called
        where gradients are off (``adapt``): ``meta.inner.descend`` and ``value_and_grad`` enable them."""

    def meta_loss(self, model: nn.Module, episode: Episode, loss: Loss, /) -> Tensor:
        """Return the loss of meta-training, ``[task]``."""

    def logits(self, model: nn.Module, batch: Batch, /) -> Callable[[dict[str, Tensor]], Tensor]:
        """Return the logits ``[task, batch, label]`` as a function of the weights of ``trajectory``."""

    def losses(self, model: nn.Module, batch: Batch, loss: Loss, /) -> Callable[[dict[str, Tensor]], Tensor]:
        """Return the losses ``[task]`` as a function of the weights of ``trajectory``."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """As of ``torch.nn.Module``; the next three too."""

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> Any: ...


def hooks(kind: type[H], module: object) -> H:
    """Return the optional members of a module; the default where it has none. kind: one of the classes above."""
    names = [one.name for one in fields(kind)]  # type: ignore[arg-type]
    return kind(**{name: getattr(module, name) for name in names if hasattr(module, name)})
