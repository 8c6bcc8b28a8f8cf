"""The tables of what is registered: names and their modules, which are imported on first use.

A new data set, task, model or learner is one file and one line here; ``contracts`` lists what the file must have. The
contract tests run over these tables.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lstmcli.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from lstmcli.contracts import LearnerKind, Model, Reader, Task
    from lstmcli.graphs import GraphModule

DATASETS = {
    "arsc": "lstmcli.data.readers.arsc",
    "banking77": "lstmcli.data.readers.banking77",
    "clinc150": "lstmcli.data.readers.clinc150",
    "conll2003": "lstmcli.data.readers.conll2003",
    "entities": "lstmcli.data.readers.entities",
    "goemotions": "lstmcli.data.readers.goemotions",
    "hwu64": "lstmcli.data.readers.hwu64",
    "imdb": "lstmcli.data.readers.imdb",
    "mams": "lstmcli.data.readers.mams",
    "opinions": "lstmcli.data.readers.opinions",
    "ptb": "lstmcli.data.readers.ptb",
    "reviews": "lstmcli.data.readers.reviews",
    "sentiment": "lstmcli.data.readers.sentiment",
    "snips": "lstmcli.data.readers.snips",
    "table": "lstmcli.data.readers.table",
    "texts": "lstmcli.data.readers.plain_text",
}
LAYOUTS = ("table", "texts")  # formats of the user's own data: always with a path
PROBLEMS = {  # drawn, not read: problems of the benchmark of optimisers
    "classifiers": "lstmcli.race.classifiers",
    "quadratics": "lstmcli.race.quadratics",
}
TASKS = {  # in the order in which their recipes are listed
    "classify": "lstmcli.tasks.classify",
    "multilabel": "lstmcli.tasks.multilabel",
    "tag": "lstmcli.tasks.tag",
    "model_language": "lstmcli.tasks.model_language",
}
MODELS = {
    "classifier": "lstmcli.models.classifier",
    "language-model": "lstmcli.models.language_model",
    "multilabel": "lstmcli.models.classifier",
    "tagger": "lstmcli.models.tagger",
}
GRAPHS = {  # of the models that ONNX Runtime can run, by their names
    "classifier": "lstmcli.graphs.classifier",
    "multilabel": "lstmcli.graphs.classifier",
    "tagger": "lstmcli.graphs.tagger",
}
ALIASES = {"conll": "conll2003"}  # other names of data sets and recipes
LEARNERS = {
    "anchored": "lstmcli.meta.anchored",
    "finetune": "lstmcli.meta.finetune",
    "lstm-optimizer": "lstmcli.meta.lstm_optimizer",
    "maml": "lstmcli.meta.maml",
    "matching": "lstmcli.meta.matching",
    "meta-lstm": "lstmcli.meta.meta_lstm",
    "prototypical": "lstmcli.meta.prototypical",
    "reptile": "lstmcli.meta.reptile",
    "ridge": "lstmcli.meta.ridge",
}


def find(table: dict[str, str], name: str) -> Any:
    """Return the module registered under the name.

    Raises:
        ConfigError: if the table has no such name.
    """
    if name not in table:
        raise ConfigError(f"'{name}' is not registered", fix=did_you_mean(name, table))
    return import_module(table[name])


def reader(name: str) -> Reader:
    """Return the reader of the data set. Raises ConfigError where none is registered; the next three too."""
    found: Reader = find(DATASETS, name)
    return found


def task(name: str) -> Task:
    """Return the task of that name."""
    found: Task = find(TASKS, name)
    return found


def model(name: str) -> Model:
    """Return the model of that name."""
    found: Model = find(MODELS, name)
    return found


def graph(name: str) -> GraphModule:
    """Return what makes the ONNX graph of the model of that name. Raises ConfigError where there is none."""
    found: GraphModule = find(GRAPHS, name)
    return found


def learner(name: str) -> LearnerKind:
    """Return the learner of that name."""
    found: LearnerKind = find(LEARNERS, name)
    return found
