"""Ctrl-C, or SIGTERM, stops a run at its next event, where weights and position agree; a second one at once."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

TERMINATED = 128 + signal.SIGTERM  # the exit code of a process that was asked to end: 143
STOPPING = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Within the ``with`` block, ``requested`` turns true on the first interrupt."""

    def __init__(self) -> None:
        self.requested = False
        self._number: int = signal.SIGINT

    def __enter__(self) -> "Stop":
        if _in_main():
            self._before = {number: signal.signal(number, self._request) for number in STOPPING}
        return self

    def __exit__(self, *_: object) -> None:
        if _in_main():
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def end(self) -> BaseException:
        """Return what ends the run: KeyboardInterrupt after Ctrl-C, SystemExit with code 143 after SIGTERM."""
        return KeyboardInterrupt() if self._number == signal.SIGINT else SystemExit(TERMINATED)

    def _request(self, number: int, _frame: FrameType | None) -> None:
        self._number = number
        if self.requested:
            raise self.end()
        self.requested = True


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM raise SystemExit with code 143, so that what was begun is cleared away; it would end the process."""
    if not _in_main() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(TERMINATED)


def _in_main() -> bool:
    return threading.current_thread() is threading.main_thread()
