"""One ``.pt`` file of plain types, with all that evaluation, adaptation and prediction need.

    {"format": "lstmcli", "version": 1, "header": JSON text, "tensors": {name: tensor}, "checksum": hexadecimal}

header: config, vocabulary (words and labels), temperature, min_confidence, progress, metrics, context. tensors:
``model/<parameter>``, ``baseline/<array>``, ``conformal/<scores>``, and in last.pt ``optimizer/<parameter>/<moment>``
and ``random/<generator>``. A matrix of int8 has a ``scale/<its name>`` per row, by which it is multiplied when the file
is read. Text and tensors are kept flat, so that equal states make equal bytes. Loaded with ``weights_only=True`` alone:
nothing in the file is ever run. torch does not detect damaged data; the checksum does.
"""

import hashlib
import io
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lstmcli import registry
from lstmcli.config import LanguageModel, RunConfig, renamed
from lstmcli.config.training import ADJUSTED
from lstmcli.contracts import ModelHooks, Task, TaskHooks, hooks
from lstmcli.data.text.vocabulary import Vocabulary
from lstmcli.errors import LONGEST, CheckpointError, ConfigError, near_path, of_system
from lstmcli.storage import archive, atomic, run_folder, weights
from lstmcli.storage import header as headers
from lstmcli.storage.header import CLASS_WEIGHTS
from lstmcli.validation import validated

FORMAT, VERSION = "lstmcli", 1
SCALE = "scale/"  # prefix of the scales of matrices of int8
WRITTEN = "give a file that 'lstmcli train' wrote; if this is one, it was damaged: train again"
PRETRAINED = run_folder.SHIPPED / "english.pt"  # the default


@dataclass(frozen=True)
class Checkpoint:
    """What a .pt file holds."""

    config: RunConfig
    vocabulary: Vocabulary
    tensors: dict[str, Tensor]
    temperature: float = 1.0
    min_confidence: float = 0.0  # below it ``predict`` gives no label: see ``inference/decisions.py``
    progress: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)  # by dataset_hash of the test data: the baselines' figures
    context: LanguageModel | None = None  # section of the language model that reads with the model

    @property
    def task(self) -> Task:
        """What the model is trained for."""
        return registry.task(self.config.task)

    @property
    def deciding_task(self) -> Task:
        """The task as it decides on labels: with the class weights of ``train.class_weights``, if the file has any.

        Adapted checkpoints have none: their labels, or the frequencies of these, are those of the support.
        """
        by_label = self.progress.get(CLASS_WEIGHTS)
        if not by_label:
            return self.task
        weighted = hooks(TaskHooks, self.task).weighted
        assert weighted is not None  # checked when the file is read
        weights = np.array([by_label[label] for label in self.vocabulary.labels])
        adjusted = self.config.train.class_weights == ADJUSTED
        found: Task = weighted(self.task, weights, adjusted=adjusted, exponent=1.0)
        return found

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

    def check_labels_texts(self, where: str) -> None:
        """Raise ConfigError where the model does not label whole texts. where: what the user asked for."""
        if self.task.READS != "text":
            stream = self.task.READS == "stream"
            what = "a language model has no labels" if stream else "the model labels words, not whole texts"
            fix = "leave it out, or load a model that labels whole texts, such as the one that ships"
            raise ConfigError(what, where=where, fix=fix)

    def group(self, name: str) -> dict[str, Tensor]:
        """The tensors under ``name/``."""
        return {
            key.removeprefix(f"{name}/"): value for key, value in self.tensors.items() if key.startswith(f"{name}/")
        }


def grouped(name: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, each copied to the CPU, under ``name/``."""
    return {f"{name}/{key}": value.detach().cpu().clone() for key, value in tensors.items()}


def save(checkpoint: Checkpoint, path: Path) -> None:
    """Write the file whole or not at all. Raises RuntimeSetupError where it cannot be written."""
    content = to_buffer(checkpoint)
    with atomic.whole(path) as file:
        file.write(content.getbuffer())


def to_buffer(checkpoint: Checkpoint) -> io.BytesIO:
    """Return what the file of the checkpoint holds."""
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
    text = text.encode("utf-8", "backslashreplace").decode()  # a path that is not UTF-8: \\udc00, as JSON has it
    buffer = io.BytesIO()  # a name inside the archive would follow the file's, and equal states would differ
    content = {"format": FORMAT, "version": VERSION, "header": text, "tensors": checkpoint.tensors}
    torch.save(content | {"checksum": _checksum(text, checkpoint.tensors)}, buffer)
    return buffer


def load(path: Path) -> Checkpoint:
    """Read a checkpoint of this or an older version.

    Raises:
        CheckpointError: the file is not there, is cut short, or is something else, such as a learned optimiser.
    """
    path = run_folder.model_at(path)
    if not path.is_file():
        fix = near_path(path) or "give a model.pt: -c FILE, or train one: lstmcli train opinions"
        raise CheckpointError("there is no such checkpoint", where=str(path), fix=fix)
    return read(path, where=str(path))


def read(source: Path | io.BytesIO, *, where: str) -> Checkpoint:
    """Read a checkpoint from a file or from what ``to_buffer`` returned. where: for messages. Raises as ``load``."""
    try:
        size = archive.check(source)
        content = torch.load(source, map_location="cpu", weights_only=True)
    except OSError as error:
        raise of_system(error) or _damaged(where) from error
    except Exception as error:  # pickle, zip and torch raise different ones; to the user all mean the same
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
        tensors = weights.plain(content.get("tensors"), size)
        if content.get("checksum") != _checksum(text, tensors):
            raise _damaged(where)
        if not any(name.startswith("model/") for name in tensors):
            fix = "give a model.pt: -c FILE"
            raise CheckpointError("a learned optimiser, not a model of texts", where=where, fix=fix)
        return _of(headers.parsed(text), tensors, where)
    except (ValueError, RecursionError) as error:
        raise _damaged(where, str(error)) from error


def _of(header: dict[str, Any], tensors: dict[str, Tensor], where: str) -> Checkpoint:
    """The checkpoint of a header and tensors. Raises ValueError where the two do not fit."""
    try:
        vocabulary = Vocabulary.from_state(header["vocabulary"])
    except Exception as error:  # of tokenizers, which knows no kinds of errors
        raise ValueError(str(error)) from error
    scales = {name.removeprefix(SCALE): value for name, value in tensors.items() if name.startswith(SCALE)}
    checkpoint = Checkpoint(
        config=validated(renamed.translated(header["config"]), where=where),
        vocabulary=vocabulary,
        tensors={name: value for name, value in tensors.items() if not name.startswith(SCALE)},
        temperature=header["temperature"],
        min_confidence=header.get("min_confidence", 0.0),  # not in older files
        progress=header["progress"],
        metrics=header["metrics"],
        context=_language_model(header["context"]) if "context" in header else None,
    )
    weights.check(checkpoint, scales)
    return replace(checkpoint, tensors=_dequantised(checkpoint.tensors, scales))


def _damaged(where: str, why: str = "") -> CheckpointError:
    why = f": {why.splitlines()[0][:LONGEST]}" if why else ""
    return CheckpointError(f"not a checkpoint that can be read, or a damaged one{why}", where=where, fix=WRITTEN)


def quantised(name: str, matrix: Tensor) -> dict[str, Tensor]:
    """The matrix as integers of eight bits and a scale per row, by name; an error of at most half a scale."""
    scale = (matrix.float().abs().amax(dim=1) / 127).half()
    safe = scale.float().clamp(min=torch.finfo(torch.half).tiny)
    return {name: (matrix / safe[:, None]).round().clamp(-127, 127).to(torch.int8), f"{SCALE}{name}": scale}


def _dequantised(tensors: dict[str, Tensor], scales: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, with matrices of int8 in float32: four times their size in the file, so only what was checked."""
    return tensors | {name: tensors[name].float() * scale.float()[:, None] for name, scale in scales.items()}


def _language_model(values: dict[str, Any]) -> LanguageModel:
    return LanguageModel.model_validate(renamed.translated({"model": values})["model"])


def _checksum(header: str, tensors: dict[str, Tensor]) -> str:
    digest = hashlib.blake2b(header.encode(), digest_size=16)
    for name, value in tensors.items():
        digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
        digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def find(path: Path | None) -> Path:
    """The checkpoint to use: the one named, else the newest under ./runs, else the one that ships."""
    if path is not None:
        return run_folder.model_at(path)
    return run_folder.newest() or PRETRAINED
