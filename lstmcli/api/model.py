"""A model for texts in memory: load it; predict, score, evaluate, adapt and save.

No call changes torch's random state, its thread count or the environment, and only ``Model.save`` writes a file.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lstmcli import recipes
from lstmcli.api.files import learner_options
from lstmcli.config import RunConfig
from lstmcli.data.in_memory import LABEL_TYPES, Labels, Texts, check_known, examples_of, texts_of
from lstmcli.data.text.vocabulary import Vocabulary
from lstmcli.errors import CheckpointError, ConfigError, for_python, near_path
from lstmcli.events import Listener, silent
from lstmcli.inference import adapt as adapting
from lstmcli.inference import evaluate as evaluation
from lstmcli.inference.evaluate import Report
from lstmcli.inference.predict import Predictions
from lstmcli.machine import runtime
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage import run_folder
from lstmcli.storage.checkpoint import Checkpoint
from lstmcli.storage.text_io import Question
from lstmcli.types import Option

Array = np.ndarray[Any, np.dtype[Any]]
LABEL_TYPE = "label_type"  # of a checkpoint's progress: the type of its labels before they became strings


class Model:
    """A trained model, which never changes. It can be pickled; threads of one process take turns."""

    def __init__(self, checkpoint: Checkpoint, path: str = "") -> None:
        """Wrap a checkpoint; ``load`` and ``fit`` do. path: of its file, for reports."""
        self._checkpoint = checkpoint
        self._path = path
        self._made: Predictions | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"file": checkpoints.to_buffer(self._checkpoint), "path": self._path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._checkpoint = checkpoints.read(state["file"], where=state["path"])
        self._path = state["path"]
        self._made = None

    def __repr__(self) -> str:
        return f"<lstmcli {self._checkpoint.config.model.name}: {', '.join(map(str, self.classes_[:8]))}>"

    @property
    def classes_(self) -> Array:
        """The labels, in the order of the columns of ``predict_proba``; of a tagger, the types of entities.

        Labels that were given to ``fit`` as int or bool are int or bool, in ascending order; all others are strings.
        """
        return self._classes()[0]

    def predict(self, texts: Texts) -> Any:
        """Return the label of each text, ``[text]``; of a tagger, a list of the entities of each text.

        An entity is a dict: text, label, probability, and start and end in characters. Texts of a tagger may also be
        lists of words, which are joined by blanks.

        Raises:
            ConfigError: the model is a language model, or its head is untrained.
            DataError: a text is empty or not a string.
        """
        if self._checkpoint.task.READS != "words":
            return self._decided(texts)
        questions = [
            Question(row, one) if isinstance(one, str) else Question(row, " ".join(one), words=one)
            for row, one in enumerate(texts_of(texts, words=None), 1)
        ]
        with self._ready() as predictions:
            return [found.answer["entities"] for found in predictions.of([questions])]

    def predict_proba(self, texts: Texts) -> Array:
        """Return the calibrated probability of each label, ``[text, label]``, in float64. Raises as ``predict``."""
        if self._checkpoint.task.READS == "words":
            fix = "use predict(texts): each entity has its probability"
            raise ConfigError("a tagger has no probabilities of whole texts", where="predict_proba", fix=fix)
        self._check_labels("predict")
        read = list(map(str, texts_of(texts, words=False)))
        classes, columns = self._classes()
        if not read:
            return np.zeros((0, len(classes)))
        with self._ready() as predictions:
            return predictions.probabilities(read)[:, columns]

    def score(self, texts: Texts, labels: Labels) -> float:
        """Return the accuracy, of a tagger F1 over entities: the first figure of ``evaluate``. Raises as that."""
        primary = self._checkpoint.task.PRIMARY
        return self.evaluate(texts, labels).metrics[primary]["value"]

    def evaluate(self, texts: Texts, labels: Labels, *, seed: int = 0, listener: Listener = silent) -> Report:
        """Return metrics with 95 % intervals, and those of the baselines that the model carries.

        Args:
            texts, labels: One label per text; for a tagger, lists of words and lists of their tags.
            seed: Of the resampling for the intervals.
            listener: Called with each event: progress, and notes on the data.

        Raises:
            DataError: as ``predict``; or the lengths differ, or the model does not know a label.
        """
        self._check_labels("evaluate")
        examples, _ = examples_of(texts, labels, words=self._checkpoint.task.READS == "words")
        check_known(examples, self._vocabulary.classes)
        with self._apart() as checkpoint:
            return evaluation.run(
                checkpoint, examples, data="texts", split="given", path=self._path, seed=seed, listener=listener
            )

    def adapt(
        self,
        texts: Texts,
        labels: Labels,
        *,
        learner: str | None = None,
        steps: int | None = None,
        seed: int = 0,
        listener: Listener = silent,
    ) -> "Model":
        """Return a new model that has learned from a few labelled texts; this one stays as it is.

        New labels become new classes; if no label of the model occurs, they replace the model's labels.

        Args:
            texts, labels: As in ``evaluate``.
            learner: As ``lstmcli adapt --learner``; none: as the model was trained for, ridge where all labels are new.
            steps: Gradient steps; none: the number that is best for texts that are left out.
            seed: Decides which of several equal texts with different labels is learned.
            listener: As in ``evaluate``.

        Raises:
            ConfigError: a language model, an unknown learner, or one that has no steps.
            DataError: as ``evaluate``, but for labels that the model does not know.
        """
        self._check_labels("adapt", headed=False)
        examples, kind = examples_of(texts, labels, words=self._checkpoint.task.READS == "words")
        chosen = learner_options(learner, steps, flag="{}=")
        options = adapting.AdaptOptions(
            len(examples), seed, choose=steps is None, free=learner is None and steps is None
        )
        with self._apart(chosen) as checkpoint:
            found = adapting.adapted(checkpoint, examples, options, listener=listener)
        left = set(found.vocabulary.labels) & set(self._vocabulary.labels)
        mixed = left and kind != self._checkpoint.progress.get(LABEL_TYPE, "str")
        return kept(found, self._checkpoint.config, "str" if mixed else kind)

    def save(self, path: str | Path) -> None:
        """Write a file that ``load`` and all commands accept. Raises RuntimeSetupError where it cannot be written."""
        checkpoints.save(self._checkpoint, Path(path))

    def _decided(self, texts: Texts) -> Array:
        """Return the label of each text, ``[text]``."""
        self._check_labels("predict")
        read = list(map(str, texts_of(texts, words=False)))
        classes, columns = self._classes()
        if not read:
            return classes[:0]
        with self._ready() as predictions:
            return classes[columns.argsort()[predictions.decided(read)]]

    @property
    def _vocabulary(self) -> Vocabulary:
        return self._checkpoint.vocabulary

    def _classes(self) -> tuple[Array, Array]:
        """Return the labels in the user's type, and the column of each in the model's outputs."""
        kind = self._checkpoint.progress.get(LABEL_TYPE, "str")
        classes = np.array(list(map(LABEL_TYPES[kind], self._vocabulary.classes)))
        columns = np.arange(len(classes)) if kind == "str" else classes.argsort()
        return classes[columns], columns

    def _check_labels(self, where: str, *, headed: bool = True) -> None:
        """Raise ConfigError where the model has no labels. headed: also where its head is untrained."""
        if self._checkpoint.task.READS == "stream":
            fix = "use the commands: lstmcli predict and lstmcli evaluate; or load a model that was trained with labels"
            raise ConfigError("a language model has no labels", where=where, fix=fix)
        if headed and not self._checkpoint.headed:
            what = "the model has no trained head: it makes one from a few texts"
            raise ConfigError(what, where=where, fix="adapt it first: model.adapt(texts, labels)")

    @contextmanager
    def _apart(self, options: list[Option] | None = None) -> Iterator[Checkpoint]:
        """Yield the checkpoint for work that leaves the process as it was, and writes no cache."""
        config = self._checkpoint.config
        with for_python(), runtime.unchanged(config):
            adjusted = recipes.adjusted(config, options) if options else config
            yield replace(self._checkpoint, config=uncached(adjusted))

    @contextmanager
    def _ready(self) -> Iterator[Predictions]:
        """Yield the model with its weights on the device."""
        with self._apart() as checkpoint:
            self._made = self._made or Predictions(checkpoint)
            yield self._made


def load(
    path: str | Path | None = None,
    *,
    device: str | None = None,
    precision: str | None = None,
    threads: int | None = None,
) -> Model:
    """Load a model. Raises CheckpointError where there is none.

    Args:
        path: A ``.pt`` file, or the folder of a run; none: the model that ships.
        device, precision, threads: As the command line's options; none: as it was trained.
    """
    found = checkpoints.PRETRAINED if path is None else run_folder.model_at(Path(path))
    if not found.is_file():
        fix = near_path(found) or "give a model.pt, or the folder of a run; load() loads the model that ships"
        raise CheckpointError("there is no such model", where=str(found), fix=fix)
    chosen = {"device": device, "precision": precision, "threads": threads}
    options = [Option(key, f"{key}=", value) for key, value in chosen.items() if value is not None]
    with for_python():
        checkpoint = checkpoints.load(found)
        config = recipes.adjusted(checkpoint.config, options) if options else checkpoint.config
    return Model(replace(checkpoint, config=config), str(found))


def uncached(config: RunConfig) -> RunConfig:
    """Return the config without a cache, and with the threads that torch has now where it names no number."""
    data = config.data.model_copy(update={"cache": False})
    return config.model_copy(update={"data": data, "threads": config.threads or torch.get_num_threads()})


def kept(checkpoint: Checkpoint, config: RunConfig, label_type: str) -> Model:
    """Return the model with the data and threads of the config in place of those of the work."""
    adjusted = checkpoint.config.model_copy(update={"data": config.data, "threads": config.threads})
    return Model(replace(checkpoint, config=adjusted, progress=checkpoint.progress | {LABEL_TYPE: label_type}))
