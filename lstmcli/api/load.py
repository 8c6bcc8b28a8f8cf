"""Load a model for texts in memory."""

from dataclasses import replace
from pathlib import Path

from lstmcli import recipes
from lstmcli.api.model import Model
from lstmcli.errors import CheckpointError, for_python, near_path
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage import run_folder
from lstmcli.types import Option


def load(
    path: str | Path | None = None,
    *,
    device: str | None = None,
    precision: str | None = None,
    threads: int | None = None,
) -> Model:
    """Load a model. Raises CheckpointError where there is none.

    Args:
        path: A ``.pt`` file, the folder of a run, or a ``.onnx`` file of ``export``; None: the model that ships.
        device, precision, threads: As the command line's options, with the same defaults.
    """
    found = checkpoints.PRETRAINED if path is None else run_folder.model_at(Path(path))
    if not found.is_file():
        fix = near_path(found) or "give a model.pt, or the folder of a run; load() loads the model that ships"
        raise CheckpointError("there is no such model", where=str(found), fix=fix)
    chosen = {"device": device or "auto", "threads": threads} | ({"precision": precision} if precision else {})
    with for_python():
        checkpoint = checkpoints.opened(found)
        config = recipes.adjusted(checkpoint.config, [Option(key, f"{key}=", value) for key, value in chosen.items()])
    return Model(replace(checkpoint, config=config), str(found))
