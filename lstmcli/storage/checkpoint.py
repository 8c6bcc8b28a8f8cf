"""One ``.pt`` file of plain types, with all that evaluation, adaptation and prediction need.

    {"format": "lstmcli", "version": 1, "header": JSON text, "tensors": {name: tensor}, "checksum": hexadecimal}

header: config, vocabulary (words and labels), temperature, min_confidence, progress, metrics, context. tensors:
``model/<parameter>``, ``baseline/<array>``, ``conformal/<scores>``, and in last.pt ``optimizer/<parameter>/<moment>``
and ``random/<generator>``. A matrix of int8 has a ``scale/<its name>`` per row, by which it is multiplied when the file
is read. Text and tensors are kept flat, so that equal states make equal bytes. Read without torch, by ``archive.py``:
nothing in the file is ever run. The checksum detects damaged data.
"""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstmcli import registry
from lstmcli.config import LanguageModel, RunConfig, renamed
from lstmcli.contracts import ModelHooks, Task, TaskHooks, hooks
from lstmcli.data.text.vocabulary import Vocabulary
from lstmcli.errors import LONGEST, CheckpointError, ConfigError, near_path, of_system
from lstmcli.storage import archive, atomic, consistency, deciding, run_folder
from lstmcli.storage import header as headers
from lstmcli.storage.tensors import Array, Stored, Tensors, arrays, checksum
from lstmcli.validation import validated

if TYPE_CHECKING:
    from torch import Tensor

FORMAT, VERSION = "lstmcli", 1
EXPORTED = ".onnx"  # ending of exported models
WRITTEN = "give a file that 'lstmcli train' wrote; if this is one, it was damaged: train again"
DAMAGED = "not a checkpoint that can be read, or a damaged one"
PRETRAINED = run_folder.SHIPPED / "english.pt"  # the default


@dataclass(frozen=True)
class Checkpoint:
    """What a .pt file holds."""

    config: RunConfig
    vocabulary: Vocabulary
    tensors: "dict[str, Tensor] | Tensors"
    temperature: float = 1.0
    min_confidence: float = 0.0  # below it ``predict`` gives no label: see ``inference/decisions.py``
    progress: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)  # by dataset_hash of the test data: the baselines' figures
    context: LanguageModel | None = None  # section of the language model that reads with the model
    graph: bytes | None = None  # of an exported model, which has no weights for torch: see ``onnx_file.py``

    @property
    def task(self) -> Task:
        """What the model is trained for."""
        return registry.task(self.config.task)

    @property
    def label_sets(self) -> bool:
        """True where a text has a set of labels."""
        return hooks(TaskHooks, self.task).LABEL_SETS

    @property
    def deciding_task(self) -> Task:
        """The task as it decides on labels: with class weights or thresholds, if the file has any."""
        return deciding.task_of(self)

    @property
    def language_model(self) -> LanguageModel:
        """The model's section, of a language model's checkpoint."""
        assert isinstance(self.config.model, LanguageModel)
        return self.config.model

    @property
    def by_word(self) -> set[str]:
        """The tensors of the model with one row per word; those of a language model that reads with it too, if it has
        the same vocabulary."""
        model = hooks(ModelHooks, registry.model(self.config.model.name))
        names = {*model.BY_WORD}
        if self.context is not None and self.vocabulary.context is None:
            inner = hooks(ModelHooks, registry.model(self.context.name))
            names |= {f"{model.CONTEXT}.{name}" for name in inner.BY_WORD}
        return names

    @property
    def headed(self) -> bool:
        """False where the head of the checkpoint is untrained, since every task makes a new one."""
        return bool(self.progress.get("headed", True))

    def check_head(self) -> None:
        """Raise ConfigError where the head of the checkpoint is untrained."""
        if not self.headed:
            what = "the model has no trained head: it makes one from a few texts"
            fix = (
                "adapt it: lstmcli adapt --shots 5 --data FILE; or evaluate few-shot tasks: lstmcli evaluate --shots 5"
            )
            raise ConfigError(what, where=f"learner: {self.config.learner.name}", fix=fix)

    def check_weights(self, where: str) -> None:
        """Raise ConfigError where the model is an exported one. where: the option or argument that needs it."""
        if self.graph is not None:
            raise _without_weights(where)

    def check_whole_texts(self, where: str) -> None:
        """Raise ConfigError where the model does not label whole texts. where: the option or argument that needs it."""
        if self.task.READS != "text":
            stream = self.task.READS == "stream"
            what = "a language model has no labels" if stream else "the model labels words, not whole texts"
            fix = "leave it out, or load a model that labels whole texts, such as the one that ships"
            raise ConfigError(what, where=where, fix=fix)

    def check_one_label(self, where: str) -> None:
        """As ``check_whole_texts``, and where it gives a text several labels."""
        self.check_whole_texts(where)
        if self.label_sets:
            what = "the model gives a text several labels, and this is for models that give it one"
            fix = "leave it out, or load a model that gives each text one label, such as the one that ships"
            raise ConfigError(what, where=where, fix=fix)

    def group(self, name: str) -> "dict[str, Tensor]":
        """Return the tensors under ``name/``."""
        return {
            key.removeprefix(f"{name}/"): value for key, value in self.tensors.items() if key.startswith(f"{name}/")
        }

    def arrays(self, name: str, *, whole: bool = True) -> dict[str, Array]:
        """Return the tensors under ``name/`` as arrays; of a file without torch. whole: as in ``tensors.arrays``."""
        return arrays(self.tensors, f"{name}/", whole=whole)


def grouped(name: str, tensors: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """Return the tensors, each copied to the CPU, under ``name/``."""
    return {f"{name}/{key}": value.detach().cpu().clone() for key, value in tensors.items()}


def save(checkpoint: Checkpoint, path: Path) -> None:
    """Write the file whole or not at all. Raises RuntimeSetupError where it cannot be written, ConfigError for an
    exported model."""
    checkpoint.check_weights(str(path))
    content = to_buffer(checkpoint)
    with atomic.whole(path) as file:
        file.write(content.getbuffer())


def to_buffer(checkpoint: Checkpoint) -> io.BytesIO:
    """Return what the file of the checkpoint holds."""
    if checkpoint.graph is not None:
        return io.BytesIO(checkpoint.graph)
    import torch

    buffer = io.BytesIO()  # a name inside the archive would follow the file's, and equal states would differ
    text, tensors = header_of(checkpoint), dict(checkpoint.tensors)
    content = {"format": FORMAT, "version": VERSION, "header": text, "tensors": tensors}
    torch.save(content | {"checksum": checksum(text, tensors)}, buffer)
    return buffer


def header_of(checkpoint: Checkpoint) -> str:
    """Return the header of the checkpoint's file."""
    header = {
        "config": checkpoint.config.model_dump(mode="json"),
        "vocabulary": checkpoint.vocabulary.state(),
        "temperature": checkpoint.temperature,
        "min_confidence": checkpoint.min_confidence,
        "progress": checkpoint.progress,
        "metrics": checkpoint.metrics,
    }
    if checkpoint.context is not None:
        header["context"] = checkpoint.context.model_dump(mode="json")
    text = json.dumps(header, sort_keys=True, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode()  # a path that is not UTF-8: \\udc00, as JSON has it


def load(path: Path) -> Checkpoint:
    """Read a checkpoint of this or an older version, and check its tensors against its model, with torch.

    Raises:
        CheckpointError: the file is not there, is cut short, or is something else, such as a learned optimiser.
        ConfigError: it is an exported model.
    """
    checkpoint = opened(path)
    checkpoint.check_weights(str(path))
    dict(checkpoint.tensors)  # this checks them
    return checkpoint


def opened(path: Path) -> Checkpoint:
    """Read a checkpoint without torch; its tensors are checked when torch first uses them. Raises as ``load``."""
    path = run_folder.model_at(path)
    if not path.is_file():
        fix = near_path(path) or "give a model.pt that exists, or train one: lstmcli train opinions"
        raise CheckpointError("there is no such checkpoint", where=str(path), fix=fix)
    if path.suffix.lower() == EXPORTED:
        return _of_export(path.read_bytes(), str(path))
    return read(path, where=str(path))


def read(source: Path | io.BytesIO, *, where: str) -> Checkpoint:
    """Read a checkpoint from a file or from what ``to_buffer`` returned. where: for messages. Raises as ``opened``."""
    if isinstance(source, io.BytesIO) and not source.getvalue().startswith(b"PK"):
        return _of_export(source.getvalue(), where)
    try:
        size = source.stat().st_size if isinstance(source, Path) else len(source.getbuffer())
        content = archive.read(source)
    except OSError as error:
        raise of_system(error) or _damaged(where) from error
    except Exception as error:  # pickle and zip raise different ones; to the user all mean the same
        raise _damaged(where) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError("a file of torch, but not a checkpoint of lstmcli", where=where, fix=WRITTEN)
    version, text = content.get("version"), content.get("header")
    if type(version) is not int or version < 1:
        raise _damaged(where, "no version")
    if version > VERSION:
        fix = "bring lstmcli up to date: pip install --upgrade lstmcli"
        raise CheckpointError(f"written by a newer version (format {version})", where=where, fix=fix)
    try:
        if not isinstance(text, str):
            raise ValueError("no header")
        tensors = consistency.plain(content.get("tensors"), size)
        if content.get("checksum") != checksum(text, tensors):
            raise _damaged(where)
        if not any(name.startswith("model/") for name in tensors):
            fix = "give the model.pt of a model of texts"
            raise CheckpointError("a learned optimiser, not a model of texts", where=where, fix=fix)
        return _of(headers.checked(headers.loaded(text)), tensors, where)
    except (ValueError, RecursionError) as error:
        raise _damaged(where, str(error)) from error


def _of(header: dict[str, Any], tensors: dict[str, Stored], where: str) -> Checkpoint:
    """Return the checkpoint of a header and tensors. Raises ValueError where the two do not fit."""
    found = _described(header, where)
    consistency.check(found, tensors)
    return replace(found, tensors=Tensors(tensors, partial(_check, found, where)))


def exported(header: dict[str, Any], arrays: dict[str, Stored], where: str) -> Checkpoint:
    """Return the checkpoint of an exported model. arrays: those that are not the model's. Raises ValueError as
    ``_of``."""
    found = _described(header, where)
    consistency.check_parts(found, arrays)

    def check(*_: object) -> None:
        raise _without_weights(where)

    return replace(found, tensors=Tensors(arrays, check))


def _of_export(content: bytes, where: str) -> Checkpoint:
    from lstmcli.storage import onnx_file

    return onnx_file.of_bytes(content, where)


def _without_weights(where: str) -> ConfigError:
    fix = "give the .pt file that it was exported from"
    return ConfigError("an exported model is for predict and evaluate alone", where=where, fix=fix)


def _described(header: dict[str, Any], where: str) -> Checkpoint:
    """Return the checkpoint of a header, without tensors. Raises ValueError as ``_of``."""
    try:
        vocabulary = Vocabulary.from_state(header["vocabulary"])
    except Exception as error:  # of tokenizers, which knows no kinds of errors
        raise ValueError(str(error)) from error
    context = renamed.translated({"model": header["context"]})["model"] if "context" in header else None
    return Checkpoint(
        config=validated(renamed.translated(header["config"]), where=where),
        vocabulary=vocabulary,
        tensors={},
        temperature=header["temperature"],
        min_confidence=header.get("min_confidence", 0.0),  # not in older files
        progress=header["progress"],
        metrics=header["metrics"],
        context=None if context is None else LanguageModel.model_validate(context),
    )


def _check(checkpoint: Checkpoint, where: str, tensors: "dict[str, Tensor]", scaled: set[str]) -> None:
    """Raise CheckpointError where the tensors are not those of the model. scaled: as in ``weights.check``."""
    from lstmcli.storage import weights

    try:
        weights.check(replace(checkpoint, tensors=tensors), scaled)
    except ValueError as error:
        raise _damaged(where, str(error)) from error


def _damaged(where: str, why: str = "") -> CheckpointError:
    why = f": {why.splitlines()[0][:LONGEST]}" if why else ""
    return CheckpointError(f"{DAMAGED}{why}", where=where, fix=WRITTEN)


def find(path: Path | None) -> Path:
    """Return the checkpoint to use: the one named, else the newest under ./runs, else the one that ships."""
    return run_folder.newest() or PRETRAINED if path is None else run_folder.model_at(path)
