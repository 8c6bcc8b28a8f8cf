"""``lstmcli export``."""

from pathlib import Path
from typing import Annotated

import typer

from lstmcli.cli import options
from lstmcli.errors import counted


def export(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model.pt, a run folder, or a model that ships.")],
    output: Annotated[Path, typer.Argument(metavar="FILE", help="The .onnx file to write.")],
    int8: Annotated[
        bool, typer.Option("--int8", help="Matrices of eight bits: a smaller and faster file, slightly less exact.")
    ] = False,
    data: options.HeldOut = None,
    text_column: options.TextColumn = None,
    label_column: options.LabelColumn = None,
    sets: options.DataSettings = None,
    maps: options.Map = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Write a model as an ONNX file, which runs wherever ONNX Runtime does.

    It is compared with the model on held-out texts (--data) before it is written.
    """
    from lstmcli.api import export as api
    from lstmcli.cli import render
    from lstmcli.cli.figures import compared

    screen = render.Screen(json=json, quiet=quiet)
    reading = options.labelled(sets, maps, text_column, label_column)
    with screen.listening() as listener:
        found = api.export(model, output, int8=int8, data=data, reading=reading, listener=listener)
    if json:
        screen.print_json(found.plain())
        return
    kind = "int8" if found.int8 else "float32"
    screen.note(f"{found.path}: {found.size / 2**20:.1f} MiB, {kind}, opset {found.opset}")
    agreement = f"on {counted(found.texts, 'text')} {found.equal:.2%} of the labels are equal"
    screen.note(f"{agreement}, probabilities differ by up to {found.largest:.1g}")
    if found.reached is not None:
        screen.note(compared(found.metric, found.reached))
