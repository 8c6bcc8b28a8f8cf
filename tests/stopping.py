"""What every run must bear: to be stopped anywhere, and to end as if it had not been."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from lstmcli.config import RunConfig
from lstmcli.events import Event, Finished
from lstmcli.storage import run_folder
from lstmcli.storage.examples import Inputs
from lstmcli.training.train import run

FILES = (run_folder.MODEL, run_folder.LAST, run_folder.METRICS)


class Killed(Exception):  # noqa: N818 (no error)
    """Ends a run from within, as a kill would."""


def killed(config: RunConfig, data: Inputs, out: Path, *, when: Callable[[Sequence[Event]], bool]) -> Sequence[Event]:
    """Run until ``when`` is true of the events so far, or to the end; return the events."""
    seen: list[Event] = []

    def listener(event: Event) -> None:
        seen.append(event)
        if when(seen):
            raise Killed

    with suppress(Killed):  # not raised where the cache of an earlier run makes fewer events
        run(config, data, out, listener=listener)
    return seen


def ends_with_the_same_bytes(
    config: RunConfig, data: Inputs, root: Path, *, before_resuming: Callable[[], None] = lambda: None
) -> Sequence[Event]:
    """Stop a run after each third event, or so, as a kill would: what was saved is there; then resume all.

    Returns the events of a run that was not stopped.
    """
    events: list[Event] = []
    run(config, data, root / "straight", listener=events.append)
    assert isinstance(events[-1], Finished)
    expected = {name: (root / "straight" / name).read_bytes() for name in FILES}
    stopped = [root / f"stopped{stop}" for stop in range(1, len(events), 3)]
    for stop, out in zip(range(1, len(events), 3), stopped, strict=True):
        killed(config, data, out, when=lambda seen, stop=stop: len(seen) == stop)
    before_resuming()
    started = [out for out in stopped if (out / run_folder.LAST).is_file()]
    assert len(started) >= 3
    for out in started:
        run(config, data, out, resume=True)
        for name, content in expected.items():
            assert (out / name).read_bytes() == content, (out, name)
    return events
