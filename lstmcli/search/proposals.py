"""What to try next: the fixed recipes first, then those of Optuna's sampler."""

from collections.abc import Collection, Sequence
from random import Random
from typing import Any

from lstmcli.config import RunConfig
from lstmcli.search import space
from lstmcli.search.space import START, Settings
from lstmcli.search.trials import Trial

TRIES = 500  # proposals that were tried already, after which the space counts as exhausted
RANDOM = 6  # trials before the sampler follows their results


class Proposals:
    """The sampler and what it has learned. A search that is resumed begins with the trials that it had."""

    def __init__(
        self, config: RunConfig, pinned: Collection[str], tried: Sequence[Trial], *, uneven: bool, limited: bool
    ) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._optuna = optuna
        self._starts = space.starts(config, pinned)
        self._space = {
            start: space.choices(config, start, pinned, uneven=uneven) for start in (space.WARM, space.SCRATCH)
        }
        self._first = space.first(config, pinned, limited=limited)
        self._key = "macro_f1" if uneven else "loss"
        seed = config.seed + len(tried)  # a sampler that begins again must not repeat its draws
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=RANDOM)
        self._random = Random(seed)
        self._study = optuna.create_study(direction="maximize" if uneven else "minimize", sampler=sampler)
        self._config, self._pinned = config, pinned
        self._known: list[RunConfig] = []
        for trial in tried:
            self.learn(trial)

    def next(self) -> tuple[str, Settings] | None:
        """Return the start and the settings of the next trial; None where all were tried."""
        for proposal in self._first:
            if self._recipe(*proposal) not in self._known:
                return proposal
        start, settings = self._sampled()
        for _ in range(TRIES):
            if self._recipe(start, settings) not in self._known:
                return start, settings
            key = self._random.choice((START, *self._space[start]))
            if key == START:
                start, settings = self._sampled()
            else:  # the sampler proposes what is good again and again: change a little in it
                settings |= {key: self._random.choice(self._space[start][key])}
        return None

    def _sampled(self) -> tuple[str, Settings]:
        asked = self._study.ask()
        start = asked.suggest_categorical(START, self._starts)
        settings = {key: asked.suggest_categorical(f"{start}: {key}", values)
                    for key, values in self._space[start].items()}  # fmt: skip
        self._study.tell(asked, state=self._optuna.trial.TrialState.FAIL)  # its result is added by ``learn``
        return start, settings

    def learn(self, trial: Trial) -> None:
        """Add what a trial gave: of one that was not trained to its end, only that it was tried."""
        self._known.append(self._recipe(trial.start, trial.settings))
        if not trial.start or trial.state != "finished":
            return
        choices = {f"{trial.start}: {key}": values for key, values in self._space[trial.start].items()}
        given: dict[str, Any] = {START: trial.start}
        given |= {f"{trial.start}: {key}": value for key, value in trial.settings.items()}
        choices[START] = self._starts
        params = {name: value for name, value in given.items() if name in choices and value in choices[name]}
        distributions: dict[str, Any] = {
            name: self._optuna.distributions.CategoricalDistribution(choices[name]) for name in params
        }
        self._study.add_trial(
            self._optuna.trial.create_trial(params=params, distributions=distributions, value=trial.metrics[self._key])
        )

    def _recipe(self, start: str, settings: Settings) -> RunConfig:
        return space.applied(self._config, start, settings, self._pinned)
