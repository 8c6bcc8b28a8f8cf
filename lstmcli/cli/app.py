"""The Typer app; errors become a message and an exit code here.

Exit codes: 0 success · 1 a fault of the program · 2 the user's mistake, or what the system refuses · 130 interrupted ·
141 output pipe closed · 143 terminated.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from lstmcli import __version__
from lstmcli.cli import interruptions, streams
from lstmcli.cli.adapt import adapt
from lstmcli.cli.check import check
from lstmcli.cli.escapes import printable
from lstmcli.cli.evaluate import evaluate
from lstmcli.cli.export import export
from lstmcli.cli.predict import predict
from lstmcli.cli.train import train
from lstmcli.errors import LstmcliError, of_system
from lstmcli.machine import interrupt, memory

READER_GONE = 141  # the exit code that a shell reports after SIGPIPE

_UsageError: type[Exception] = typer.BadParameter.__mro__[1]  # of click, or of the copy of it in typer


class _Commands(typer.core.TyperGroup):
    """The commands; what a user typed, or a shell made of a file's name, is escaped in messages of wrong usage. Ctrl-C
    is reported."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        with _printable_usage():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        with _printable_usage(), interruptions.reported():
            return super().invoke(ctx)


@contextmanager
def _printable_usage() -> Iterator[None]:
    try:
        yield
    except _UsageError as error:
        error.message = printable(error.message)  # type: ignore[attr-defined]
        raise


app = typer.Typer(
    cls=_Commands,
    help="Small private text models from the shell: LSTMs that label texts, find names, model language, and adapt.",
    epilog="First steps: lstmcli predict 'a fine film'  ·  lstmcli train opinions  ·  lstmcli adapt --shots 5",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _version(requested: bool) -> None:
    if requested:
        typer.echo(f"lstmcli {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


for command in (train, evaluate, adapt, predict, check, export):
    app.command()(command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exits."""
    # Spinning idle OpenMP threads slow a shared machine down by a factor of 40. Must be set before torch is loaded.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    # oneDNN caches a kernel of 0.2 MB per batch shape, and batches of texts have ever new shapes.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "32")
    # The products of linear models are small: threads of OpenBLAS would wait for one another most of the time.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with streams.guarded(), interrupt.terminable():
        try:
            _run(arguments)
        except streams.ReaderGoneError:
            sys.exit(READER_GONE)
        except (LstmcliError, OSError, MemoryError, RuntimeError) as error:
            known = _known(error)
            if known is None:
                raise
            from lstmcli.cli.console import failure

            failure(known)
            sys.exit(2)


def _known(error: Exception) -> LstmcliError | None:
    """Return the error as one that the user can fix; None for a fault of the program."""
    if isinstance(error, LstmcliError):
        return error
    if isinstance(error, OSError):
        return of_system(error)
    return memory.as_message(error) if memory.exhausted(error) else None


def _run(arguments: list[str] | None) -> None:
    Path.cwd()  # raises if the current folder was deleted, in which loading torch would abort the process
    try:
        app(arguments)
    finally:
        sys.stdout.flush()  # a full disk must be found before the exit code is decided
