"""Ctrl-C stops a run at its next event, where weights and position agree; a second one stops it at once."""

import signal
import threading
from types import FrameType


class Stop:
    """Within the ``with`` block, ``requested`` turns true on the first interrupt."""

    def __init__(self) -> None:
        self.requested = False

    def __enter__(self) -> "Stop":
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._request)
        return self

    def __exit__(self, *_: object) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._before)

    def _request(self, _number: int, _frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
