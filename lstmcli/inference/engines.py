"""What computes a model's scores: ONNX Runtime where it can, else torch. Imports no torch at its top.

With ONNX Runtime a whole ``predict "text"`` takes half the time of ``import torch`` alone. It computes in float32, and
is used on a CPU, unless bfloat16 is requested, for each model that has a graph (``registry.GRAPHS``). Its logits are
those of torch in float32 but for rounding; they are the same for a text alone and in a file, and on processors with and
without bfloat16. Training, adapting and explaining need gradients, and thus torch.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from lstmcli import registry
from lstmcli.contracts import Task
from lstmcli.data.batches import batching
from lstmcli.data.batches.encoded import Store
from lstmcli.data.batches.ragged import Ints
from lstmcli.data.text.vocabulary import Vocabulary
from lstmcli.errors import LONGEST, CheckpointError, ConfigError
from lstmcli.events import Listener, Noted, silent
from lstmcli.inference import batches
from lstmcli.machine import onnx_runtime, runtime
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage import onnx_file
from lstmcli.storage.checkpoint import Checkpoint
from lstmcli.storage.tensors import SCALE

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from lstmcli.graphs import GraphTask
    from lstmcli.inference.assemble import Parts

Array = np.ndarray[Any, np.dtype[Any]]
RUNTIME = "onnxruntime"
LONG = 16  # tokens of a text, on average, from which texts of a batch have most of their words in common


class Engine:
    """A model that scores texts, by torch.

    The task is the one that decides on labels, with the class weights of the checkpoint.
    """

    def __init__(self, checkpoint: Checkpoint, parts: "Parts | None" = None) -> None:
        """parts: the model in torch, where it is built already."""
        self.checkpoint = checkpoint
        self._parts = parts
        self.task: Task = checkpoint.deciding_task
        self.vocabulary: Vocabulary = checkpoint.vocabulary

    @property
    def parts(self) -> "Parts":
        """The model in torch, for gradients and generation too."""
        from lstmcli.inference import assemble

        self._parts = self._parts or assemble.deciding(self.checkpoint, runtime.prepare(self.checkpoint.config))
        return self._parts

    def score(self, store: Store, what: str = "scoring", listener: Listener = silent) -> Array:
        """Compute the task's outputs for each text, in the order of the store, ``[text, ...]``."""
        from lstmcli.inference import assemble

        return assemble.outputs(self.parts, store, what, listener=listener)

    def embed(self, store: Store, *, sentence: bool = False, listener: Listener = silent) -> Array:
        """Compute the input of the head for each text, ``[text, feature]``. sentence: of a model that has a sentence
        embedding, that alone."""
        from lstmcli.inference import assemble

        return assemble.embeddings(self.parts, store, sentence=sentence, listener=listener)


class Onnx(Engine):
    """A model that scores texts by ONNX Runtime."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Raise CheckpointError where the tensors are not those of the model that the header describes."""
        super().__init__(checkpoint)
        self._session = session(checkpoint.graph or graph_of(checkpoint))
        self._names = {output.name for output in self._session.get_outputs()}

    def score(self, store: Store, what: str = "scoring", listener: Listener = silent) -> Array:
        names = registry.graph(self.checkpoint.config.model.name).OUTPUTS
        task, chosen = cast("GraphTask", self.task), self._session_for(store)

        def work(indices: Ints) -> Array:
            return task.outputs_of(computed(chosen, names, store, indices), store.lengths_of(indices))

        return self._run(store, work, what, listener)

    def embed(self, store: Store, *, sentence: bool = False, listener: Listener = silent) -> Array:
        name = "sentence" if sentence and "sentence" in self._names else "embedding"
        chosen = self._session_for(store)

        def work(indices: Ints) -> Array:
            return computed(chosen, [name], store, indices)[name]

        return self._run(store, work, "embedding", listener)

    @cached_property
    def _session_by_word(self) -> "InferenceSession":
        """For many texts."""
        graph = graph_by_word(self.checkpoint)
        return self._session if graph is None else session(graph)

    def _session_for(self, store: Store) -> "InferenceSession":
        tokens = store.offsets[-1]
        many = tokens > batches.EVALUATION_TOKENS and tokens >= LONG * len(store)
        return self._session_by_word if many else self._session

    def _run(self, store: Store, work: Callable[[Ints], Array], what: str, listener: Listener) -> Array:
        config = self.checkpoint.config
        workers = config.threads or runtime.threads()
        found = batches.in_batches(store, work, workers=workers, what=what, listener=listener)
        return batches.ordered(found, model=config.model.name)


def chosen(checkpoint: Checkpoint, listener: Listener = silent) -> Engine:
    """Return what scores the checkpoint's texts. Report once where ONNX Runtime could, but is not there or fails."""
    config = checkpoint.config
    if checkpoint.graph is not None:
        return _of_export(checkpoint)
    if unexportable(checkpoint) or config.precision == "bfloat16" or runtime.may_be_cuda(config):
        return Engine(checkpoint)
    if not installed():
        listener(Noted("torch scores, since ONNX Runtime is not installed: pip install onnxruntime"))
        return Engine(checkpoint)
    try:
        return Onnx(checkpoint)
    except Exception as error:
        if not _is_of_runtime(error):
            raise
        listener(Noted(f"torch scores, since ONNX Runtime cannot run the model: {_first_line(error)}"))
        return Engine(checkpoint)


def _of_export(checkpoint: Checkpoint) -> Engine:
    """Return what runs an exported model. Raises ConfigError where it is to run otherwise than it was exported."""
    config = checkpoint.config
    if config.precision == "bfloat16" or config.device.startswith("cuda"):
        where = "--precision bfloat16" if config.precision == "bfloat16" else f"--device {config.device}"
        fix = "leave it out, or give the .pt file that it was exported from"
        raise ConfigError("an exported model runs on a CPU, in the precision of its file", where=where, fix=fix)
    if not installed():
        fix = "pip install onnxruntime"
        raise ConfigError("an exported model runs on ONNX Runtime, which is not installed", where=RUNTIME, fix=fix)
    try:
        return Onnx(checkpoint)
    except Exception as error:
        if not _is_of_runtime(error):
            raise
        fix = "pip install --upgrade onnxruntime; or export the model again"
        raise CheckpointError("ONNX Runtime cannot run the model", where=_first_line(error), fix=fix) from error


def installed() -> bool:
    """Return whether ONNX Runtime can be loaded."""
    try:
        import onnx

        return bool(onnx.__version__ and onnx_runtime.loaded())
    except ImportError:
        return False


def _is_of_runtime(error: Exception) -> bool:
    return type(error).__module__.startswith(RUNTIME)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:LONGEST]


def unexportable(checkpoint: Checkpoint) -> str:
    """Return why there is no graph of the model that computes the outputs of its task; empty where there is one."""
    name = checkpoint.config.model.name
    if name not in registry.GRAPHS:
        return f"there is no ONNX graph for models of the kind {name}"
    if any(tensor.startswith("memory/") for tensor in checkpoint.tensors):
        return f"the learner {checkpoint.config.learner.name} labels by a memory of texts beside the model"
    if checkpoint.context is not None:
        return "a language model reads with it"
    return ""


def graph_of(checkpoint: Checkpoint) -> bytes:
    """Return the ONNX graph of the checkpoint, serialised. Raises CheckpointError as ``Onnx``."""
    section, vocabulary = checkpoint.config.model, checkpoint.vocabulary
    arrays = checkpoint.arrays("model", whole=False)
    module = registry.graph(section.name)
    expected = module.shapes(section, vocabulary.sizes)
    found = {name: value.shape for name, value in arrays.items() if not name.startswith(SCALE)}
    usual = all(value.dtype in (np.float32, np.float16) or f"{SCALE}{name}" in arrays for name, value in arrays.items())
    if found != expected or not usual:
        checkpoint.group("model")  # torch compares the tensors with its model, and finds what is wrong
        raise CheckpointError(checkpoints.DAMAGED, where=f"model: {section.name}", fix=checkpoints.WRITTEN)
    graph: bytes = module.model(section, module.prepared(section, arrays)).SerializeToString()
    return graph


def graph_by_word(checkpoint: Checkpoint) -> bytes | None:
    """Return the graph that is faster for many texts, if there is one, serialised. The checkpoint is one of which
    ``Onnx`` runs the graph."""
    section = checkpoint.config.model
    module = registry.graph(section.name)
    if checkpoint.graph is None:
        arrays = module.prepared(section, checkpoint.arrays("model", whole=False))
    else:
        from onnx import ModelProto

        arrays = onnx_file.arrays_of(ModelProto.FromString(checkpoint.graph))
    model = module.model_by_word(section, arrays)
    return None if model is None else model.SerializeToString()


def session(graph: bytes) -> "InferenceSession":
    """Open a graph for runs in several threads, each of which computes a batch of its own."""
    onnxruntime = onnx_runtime.loaded()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # which assumes that all batches have one shape
    options.log_severity_level = 3  # errors alone
    opened: InferenceSession = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return opened


def computed(session: "InferenceSession", names: Sequence[str], store: Store, indices: Ints) -> dict[str, Array]:
    """Return outputs of the graph for the texts at the indices, by name."""
    tokens, lengths = batching.padded(store, indices)
    found = {"tokens": tokens, "lengths": lengths.astype(np.int32)} | batching.word_features(store, indices)
    read = {one.name: found[one.name] for one in session.get_inputs()}
    return dict(zip(names, map(np.asarray, session.run(list(names), read)), strict=True))
