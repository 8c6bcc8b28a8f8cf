"""What every run must bear: to be stopped anywhere, and to end as if it had not been."""

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

from lstmcli.config import RunConfig
from lstmcli.events import Event, Finished
from lstmcli.storage import run_folder
from lstmcli.storage.examples import Inputs
from lstmcli.training.train import run

FILES = (run_folder.MODEL, run_folder.LAST, run_folder.METRICS)


def ends_with_the_same_bytes(
    config: RunConfig, data: Inputs, root: Path, *, before_resuming: Callable[[], None] = lambda: None
) -> Sequence[Event]:
    """Stop a run after each third event, or so, as a kill would: what was saved is there; then resume all.

    Returns the events of a run that was not stopped.
    """
    events = list(run(config, data, root / "straight"))
    assert isinstance(events[-1], Finished)
    expected = {name: (root / "straight" / name).read_bytes() for name in FILES}
    stopped = [root / f"stopped{stop}" for stop in range(1, len(events), 3)]
    for stop, out in zip(range(1, len(events), 3), stopped, strict=True):
        list(itertools.islice(run(config, data, out), stop))
    before_resuming()
    begun = [out for out in stopped if (out / run_folder.LAST).is_file()]
    assert len(begun) >= 3
    for out in begun:
        list(run(config, data, out, resume=True))
        for name, content in expected.items():
            assert (out / name).read_bytes() == content, (out, name)
    return events
