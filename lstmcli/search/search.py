"""Search for the best recipe within a budget of time, on validation texts alone.

Trial 0 is the recipe as it is given, then a few that are fixed (``space.FIRST``), then those that Optuna's
tree-structured Parzen estimator proposes: Bergstra et al. (2011), "Algorithms for Hyper-Parameter Optimization"; Akiba
et al. (2019), "Optuna". ``rule`` decides when a trial replaces the default.

The folder always has the best model so far, finished, as model.pt with its config.yaml and metrics.jsonl; trials.jsonl
has what was tried; default.pt is the model of trial 0, once it is not model.pt. A trial trains in a folder of its own.
"""

import math
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

from lstmcli.config import RunConfig, pace
from lstmcli.data.batches.check import uneven
from lstmcli.data.batches.encoded import encode
from lstmcli.data.batches.sampling import labels
from lstmcli.errors import ConfigError
from lstmcli.events import (
    Checked,
    Event,
    Finished,
    Interrupted,
    Listener,
    Noted,
    Planned,
    Searched,
    Searching,
    Tried,
    noted_once,
    silent,
)
from lstmcli.inference import assemble
from lstmcli.machine import runtime
from lstmcli.machine.interrupt import Stop
from lstmcli.search import attempt as attempts
from lstmcli.search import limits, rule, space, trials
from lstmcli.search.attempt import Attempt, Expired
from lstmcli.search.limits import BUDGET, MAX_SIZE, Clock
from lstmcli.search.proposals import Proposals
from lstmcli.search.rule import Outcome
from lstmcli.search.space import Settings
from lstmcli.search.trials import Trial
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage import run_folder
from lstmcli.storage.examples import Inputs
from lstmcli.training import resuming
from lstmcli.training.conclusion import conclude

TRIAL = ".trial"  # folder of the trial in progress
SHOWN = 1.0  # seconds between two reports of progress
RESERVED = 0.05  # fraction of the budget for the end of the first trial
MARGIN = 1.2  # of the measured time of the end of a trial
WORTH = 0.5  # of the time of the fastest trial: with less, none is begun


@dataclass
class Search:
    """A search in progress.

    pinned: keys that the user set; max_bytes: of a model.pt; default: what the model of the recipe gives; closing:
    seconds that the end of a trial takes if its model becomes the best.
    """

    config: RunConfig
    inputs: Inputs
    out: Path
    clock: Clock
    pinned: Collection[str]
    max_bytes: int | None
    listener: Listener
    stop: Stop
    tried: list[Trial] = field(default_factory=list)
    default: Outcome | None = None
    finished: Finished | None = None
    closing: float = 0.0
    _shown: float = -SHOWN

    def __post_init__(self) -> None:
        counts = Counter(label for example in self.inputs.train for label in labels(example))
        self.uneven = uneven(counts)  # class weights are searched too, and macro F1 decides
        self.headline = "macro_f1" if self.uneven else "accuracy"
        self.closing = self.closing or RESERVED * self.clock.budget

    def try_recipes(self) -> None:
        """Try recipes until the budget ends, all are tried, or the user stops the search."""
        limited = self.max_bytes is not None
        proposals = Proposals(self.config, self.pinned, self.tried, uneven=self.uneven, limited=limited)
        if limited and self.default is None:
            self._check_possible()
        proposal = ("", {}) if self.default is None else proposals.next()
        while proposal is not None:
            trial = self._try(*proposal)
            if self.stop.requested or trial.state == "stopped" or not self._time_left():
                return
            proposals.learn(trial)
            proposal = proposals.next()
        self.listener(Noted("all recipes of the search were tried"))

    def _time_left(self) -> bool:
        """Return whether another trial may end in time."""
        fastest = min((trial.seconds for trial in self.tried if trial.state == "finished"), default=0.0)
        return self.clock.remaining - self.closing > WORTH * fastest

    def _try(self, start: str, settings: Settings) -> Trial:
        """Train one recipe, record it, and keep its model if it is the best. No start: the recipe as it is given."""
        began, folder = self.clock.elapsed, self.out / TRIAL
        config = space.applied(self.config, start, settings, self.pinned)
        listener = self._watching(first=not start)
        found = attempts.run(
            config, self.inputs, folder, max_bytes=self.max_bytes, default=not start, listener=listener
        )
        trial = self._judged(Trial(len(self.tried), start, settings, found.state, 0.0, 0.0), found)
        if trial.best:
            trial = self._concluded(trial, found, folder)
        now = self.clock.elapsed
        trial = replace(trial, seconds=round(now - began, 1), elapsed=round(now, 1))
        self.tried.append(trial)
        trials.write(self.tried, self.out)  # from here on a killed search is resumed with it
        attempts.settle(self.tried, folder, self.out)
        self.listener(Tried(trial.plain()))
        return trial

    def _judged(self, trial: Trial, found: Attempt) -> Trial:
        """Return the trial with its figures, and with how it compares with the default: the first that is trained."""
        trial = replace(trial, bytes=found.bytes, reason=found.reason)
        if found.outcome is None or (found.state == "stopped" and self.default is not None):
            return trial
        trial = replace(trial, metrics=found.outcome.figures)
        if self.default is None:
            self.default = found.outcome
            return replace(trial, best=True)
        number = sum(one.p_value is not None for one in self.tried) + 1
        difference, p_value = rule.advantage(found.outcome, self.default, uneven=self.uneven, seed=self.config.seed)
        better = rule.replaces(found.outcome, self.default, p_value, number=number, uneven=self.uneven)
        before = trials.chosen(self.tried)
        if better and before is not None and before.p_value is not None:  # the best is not the default any more
            better = rule.value(trial.metrics, uneven=self.uneven) > rule.value(before.metrics, uneven=self.uneven)
        return replace(trial, advantage=difference, p_value=p_value, best=better)

    def _concluded(self, trial: Trial, found: Attempt, folder: Path) -> Trial:
        """Finish the model of the trial, in the folder of the trial."""
        began = self.clock.elapsed
        assert found.trainer is not None  # it has an outcome
        finished = conclude(found.trainer, folder, time.perf_counter(), noted_once(self._listening(Noted)))
        self.finished = replace(finished, folder=self.out)
        self.closing = MARGIN * (self.clock.elapsed - began + found.fitting)
        size = (folder / run_folder.MODEL).stat().st_size
        return replace(trial, baselines=finished.baselines, bytes=size)

    def _watching(self, *, first: bool) -> Listener:
        """Return a listener that ends a trial when it has to end. first: pass on what is found in the data."""
        report = self._listening(*((Checked, Planned, Noted) if first else ()))

        def listen(event: Event) -> None:
            report(event)
            if self.stop.requested or self.clock.remaining < self.closing:
                raise Expired

        return listen

    def _listening(self, *passed: type) -> Listener:
        """Return a listener that reports the progress of the search and, of the events, those of the types passed."""

        def listen(event: Event) -> None:
            if isinstance(event, passed):
                self.listener(event)
            if self.clock.elapsed - self._shown >= SHOWN:
                self._shown = self.clock.elapsed
                self.listener(self._progress())

        return listen

    def _progress(self) -> Searching:
        best = trials.chosen(self.tried)
        figure = {} if best is None else {self.headline: best.metrics[self.headline]}
        return Searching(self.clock.elapsed, self.clock.budget, len(self.tried), figure)

    def _check_possible(self) -> None:
        """Raise ConfigError where even the smallest model is too large."""
        assert self.max_bytes is not None
        *_, (start, settings) = ("", {}), *space.first(self.config, self.pinned, limited=True)
        size = attempts.size_of(space.applied(self.config, start, settings, self.pinned), self.inputs)
        if size > self.max_bytes:
            what = f"the smallest model of the search takes {size / 1e6:.2g} MB, with its baselines and vocabulary"
            fix = f"allow more: {MAX_SIZE} {math.ceil(size / 1e5) / 10:g}MB"
            raise ConfigError(what, where=f"{MAX_SIZE} {self.max_bytes / 1e6:g}MB", fix=fix)


def run(
    config: RunConfig,
    inputs: Inputs,
    out: Path,
    *,
    clock: Clock,
    max_bytes: int | None = None,
    resume: bool = False,
    pinned: Collection[str] = (),
    listener: Listener = silent,
) -> None:
    """Search, and leave the best model in the folder.

    Ctrl-C keeps the best so far, reports Interrupted, and raises KeyboardInterrupt; after SIGTERM SystemExit.

    Args:
        config: The default recipe.
        inputs: The data.
        out: The folder of the run.
        clock: It runs since the search began.
        max_bytes: Of the model.pt; None: any.
        resume: Go on with the search in the folder. The budget is that of both together.
        pinned: Keys of the recipe that the user set; they keep their values.
        listener: Called with each event.

    Raises:
        ConfigError: the budget is too short for any model, or used up; no model is small enough; the recipe or the data
            have changed since the search began.
    """
    tried, default = _resumed(config, inputs, out, clock, pinned, listener) if resume else ([], None)
    if not resume:
        run_folder.begin(out)
        attempts.clear(out / TRIAL)
    with Stop() as stop:
        search = Search(config, inputs, out, clock, pinned, max_bytes, listener, stop, tried, default)
        try:
            search.try_recipes()
        finally:
            attempts.clear(out / TRIAL)
        if stop.requested:
            listener(Interrupted(out / run_folder.TRIALS))
            raise stop.end()
    _report(search)


def _resumed(
    config: RunConfig, inputs: Inputs, out: Path, clock: Clock, pinned: Collection[str], listener: Listener
) -> tuple[list[Trial], Outcome | None]:
    """Return the trials so far and the outcome of the default, None where it was not trained to its end."""
    tried = trials.read(out)
    attempts.settle(tried, out / TRIAL, out)
    clock.spent = tried[-1].elapsed if tried else 0.0
    if clock.remaining <= 0:
        fix = f"give more: {BUDGET} {limits.duration(2 * clock.spent)}"
        what = f"the search has used {limits.duration(clock.spent)} already"
        raise ConfigError(what, where=f"{BUDGET} {limits.duration(clock.budget)}", fix=fix)
    first = next((trial for trial in tried if trial.best and trial.p_value is None and trial.state == "finished"), None)
    if first is None:
        return tried, None
    path = out / (run_folder.DEFAULT if (out / run_folder.DEFAULT).is_file() else run_folder.MODEL)
    checkpoint = checkpoints.load(path)
    now = space.applied(config, first.start, first.settings, pinned)
    resuming.check(checkpoint, pace.paced(now, **checkpoint.progress["amount"]), inputs, ())
    parts = assemble.deciding(checkpoint, runtime.prepare(checkpoint.config))
    cache = assemble.cache_of(config)
    store = encode(parts.vocabulary, inputs.validation, cache=cache, listener=listener).truncated(config.tokens)
    outputs = assemble.outputs(parts, store, listener=listener)
    return tried, rule.outcome(parts.task, outputs, store.known_targets, checkpoint.temperature)


def _report(search: Search) -> None:
    """Report the trials and the model that is kept. Raise ConfigError where there is none."""
    tried, clock = search.tried, search.clock
    best = trials.chosen(tried)
    if best is None:
        if all(trial.state == "stopped" for trial in tried):
            what = "the budget is too short: it ended before the first evaluation of a model"
            fix = f"give more: {BUDGET} {limits.duration(4 * clock.budget)}"
            raise ConfigError(what, where=f"{BUDGET} {limits.duration(clock.budget)}", fix=fix)
        reasons = "; ".join(sorted({trial.reason or trial.state for trial in tried}))
        fix = f"give a longer {BUDGET} or a larger {MAX_SIZE}"
        raise ConfigError(f"no model was trained to its end: {reasons}", where=BUDGET, fix=fix)
    if best.state == "stopped":
        what = "the budget ended before the recipe was trained to its end; the model is the best of its epochs so far"
        search.listener(Noted(f"{what}: to go on, give a longer {BUDGET} and --resume"))
    finished = search.finished
    if finished is None:  # resumed, and no trial was better
        finished = Finished(search.out, best.metrics, best.baselines, 0.0, headed=True)
    plain = [trial.plain() for trial in tried]
    search.listener(Searched(plain, best.number, clock.elapsed, clock.budget, search.headline))
    search.listener(replace(finished, seconds=clock.elapsed))
