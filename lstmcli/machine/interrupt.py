"""Ctrl-C asks a run to stop at its next event, where weights and position agree; a second one stops it at once."""

import signal
import threading
from types import FrameType


class Stop:
    """Within the ``with`` block, ``asked`` turns true on the first interrupt."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> "Stop":
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._before)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
