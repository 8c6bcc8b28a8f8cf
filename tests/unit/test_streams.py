"""Standard output that cannot be written: a message and an exit code, and no second failure at the end."""

import errno
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lstmcli.cli import streams
from lstmcli.errors import RuntimeSetupError

Run = Callable[..., int]


class Failing(io.RawIOBase):
    """A stream that takes so many bytes."""

    def __init__(self, room: int, number: int) -> None:
        self.room, self.number, self.taken = room, number, b""

    def writable(self) -> bool:
        return True

    def write(self, content: object, /) -> int:
        raw = bytes(content)  # type: ignore[call-overload]
        if len(self.taken) + len(raw) > self.room:
            raise OSError(self.number, os.strerror(self.number))
        self.taken += raw
        return len(raw)


def text_of(raw: Failing) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BufferedWriter(raw, 1), "ascii", write_through=True)


@pytest.mark.parametrize(
    ("number", "code", "message"),
    [(errno.EPIPE, 141, ""), (errno.ENOSPC, 2, "standard output cannot be written: No space left on device"),
     (errno.EIO, 2, "standard output cannot be written: Input/output error")],
)  # fmt: skip
def test_output_that_fails_ends_the_command(
    number: int, code: int, message: str, run: Run, trained: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    raw = Failing(300, number)
    monkeypatch.setattr(sys, "stdout", text_of(raw))
    assert run("predict", "-c", trained, "--json", *["a fine film"] * 50) == code
    assert b"a fine film" in raw.taken
    shown = capsys.readouterr().err
    assert message in shown
    assert "Traceback" not in shown
    assert (shown == "") == (code == 141)


def test_each_write_after_the_first_failure_fails_too_and_reaches_nothing() -> None:
    raw = Failing(3, errno.ENOSPC)
    stream = streams._Guarded(text_of(raw), streams._raise)  # type: ignore[arg-type]
    stream.write("abc")
    for _ in range(2):
        with pytest.raises(RuntimeSetupError, match="No space"):
            stream.write("de")
    raw.room = 100
    with pytest.raises(RuntimeSetupError, match="No space"):
        stream.flush()
    assert raw.taken.startswith(b"abc")


def test_notes_that_cannot_be_written_are_dropped(
    run: Run, trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", text_of(Failing(0, errno.ENOSPC)))
    Path("mine.txt").write_text("a fine film\n\n")  # a blank line is reported
    assert run("predict", "-c", trained, "--json", "-i", "mine.txt") == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_closed_streams_are_replaced(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    assert run("train", "--json") == 0
    assert run("train", "missing.csv") == 2
    for name in ("stdin", "stdout", "stderr"):
        getattr(sys, name).close()
