"""The parts of a search: its space, its limits, what is proposed, and when a trial replaces the default."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t
from sklearn.metrics import f1_score

from lstmcli import recipes, search
from lstmcli.config import RunConfig
from lstmcli.errors import ConfigError
from lstmcli.search import limits, rule, space
from lstmcli.search.limits import Clock
from lstmcli.search.proposals import Proposals
from lstmcli.search.rule import Outcome
from lstmcli.search.trials import Trial
from lstmcli.types import Option

TABLE = recipes.load("table")
VALUES = [
    (start, key, value)
    for start, keys in space.SPACE.items()
    for key, values in (keys | space.UNEVEN).items()
    for value in values
]


def validated(settings: space.Settings) -> RunConfig:
    return recipes.load("table", options=[Option(key, f"{key}=", value) for key, value in settings.items()])


@pytest.mark.parametrize(("start", "key", "value"), VALUES)
def test_every_value_of_the_space_is_one_that_a_recipe_may_have(start: str, key: str, value: object) -> None:
    cold = space.FROM_SCRATCH if start == space.SCRATCH else {}
    assert space.applied(TABLE, start, {key: value}, ()) == validated(cold | {key: value})


@pytest.mark.parametrize(("start", "settings"), [*space.FIRST, *space.SIZES])
def test_what_is_tried_first_lies_in_the_space(start: str, settings: space.Settings) -> None:
    assert all(value in space.SPACE[start][key] for key, value in settings.items())
    assert space.applied(TABLE, start, settings, ()) == validated(
        (space.FROM_SCRATCH if start == space.SCRATCH else {}) | settings
    )


def test_the_length_of_a_run_still_follows_from_the_amount_of_data() -> None:
    from lstmcli.config import pace

    changed = space.applied(TABLE, space.WARM, {"train.lr": 0.001}, ())
    assert (
        pace.paced(changed, tokens=3000, texts=100).train.epochs
        == pace.paced(TABLE, tokens=3000, texts=100).train.epochs
    )


def test_what_the_user_set_is_not_searched() -> None:
    pinned = ("train.lr", "model.bag_of_words")
    proposals = Proposals(TABLE, pinned, [tried(0, "", {})], uneven=True, limited=False)
    for number in range(1, 25):
        start, settings = proposals.next() or ("", {})
        assert settings
        assert not settings.keys() & {*pinned}
        found = space.applied(TABLE, start, settings, pinned)
        assert (found.train.lr, found.model.bag_of_words) == (TABLE.train.lr, 0)  # type: ignore[union-attr]
        proposals.learn(tried(number, start, settings))
    assert space.starts(TABLE, ("model.init",)) == (space.WARM,)
    cold = space.applied(TABLE, space.SCRATCH, {"train.lr": 0.004}, ("model.sentence_embedding", "train.lr"))
    kept = TABLE.model.sentence_embedding  # type: ignore[union-attr]
    assert (cold.model.sentence_embedding, cold.train.lr) == (kept, TABLE.train.lr)  # type: ignore[union-attr]


def tried(number: int, start: str, settings: space.Settings) -> Trial:
    figures = {"accuracy": 0.5, "macro_f1": 0.5, "loss": 1.0}
    return Trial(number, start, settings, "finished", 1.0, 1.0 + number, figures)


def test_nothing_is_proposed_twice_and_a_small_space_is_exhausted() -> None:
    free = "model.word_dropout"
    pinned = {key for keys in space.SPACE.values() for key in keys if key != free} | {"model.init"}
    history: list[Trial] = [tried(0, "", {})]
    seen = [space.applied(TABLE, "", {}, pinned)]
    while True:
        proposals = Proposals(TABLE, pinned, history, uneven=False, limited=False)  # as resumed after each trial
        proposal = proposals.next()
        if proposal is None:
            break
        seen.append(space.applied(TABLE, *proposal, pinned))
        history.append(tried(len(history), *proposal))
    dropouts = sorted(config.model.word_dropout for config in seen)  # type: ignore[union-attr]
    assert dropouts == sorted(space.SPACE[space.WARM][free])  # 0.05 is that of the recipe itself


def test_the_sampler_follows_what_was_good() -> None:
    """Of settings that differ in the rate alone, the one with the lower loss is proposed more often."""
    free = "train.lr"
    pinned = {key for keys in space.SPACE.values() for key in keys if key not in (free, "model.dropout",
              "model.word_dropout", "train.weight_decay", "train.encoder_lr_scale")} | {"model.init"}  # fmt: skip
    proposals = Proposals(TABLE, pinned, [tried(0, "", {})], uneven=False, limited=False)
    rates: list[float] = []
    for number in range(1, 70):
        start, settings = proposals.next() or ("", {})
        rate = settings.get(free, TABLE.train.lr)
        loss = abs(np.log(rate / 0.0005)) + 0.1
        proposals.learn(Trial(number, start, settings, "finished", 1.0, 1.0, {"loss": float(loss), "macro_f1": 0.0}))
        rates.append(rate)
    assert np.mean(np.array(rates[-40:]) == 0.0005) > 0.42  # 0.25 by luck; in 99 % of the cases at most 0.42


@pytest.mark.parametrize(
    ("text", "expected"),
    [("10m", 600), ("90s", 90), ("1h", 3600), ("1h30m", 5400), ("1.5m", 90), (" 2M ", 120), (45, 45), (0.5, 0.5)],
)
def test_durations(text: str | float, expected: float) -> None:
    assert limits.seconds(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("3MB", 3_000_000), ("800kb", 800_000), ("1.5 MB", 1_500_000), (70_000, 70_000)]
)
def test_sizes(text: str | float, expected: int) -> None:
    assert limits.size(text) == expected


@pytest.mark.parametrize(
    "text", ["", "10", "ten minutes", "-3m", "0m", "m", "3m10", "1d", -5, float("nan"), float("inf")]
)
def test_what_is_no_duration_is_reported_with_examples(text: str | float) -> None:
    with pytest.raises(ConfigError, match="is not a duration") as error:
        limits.seconds(text)
    assert "--budget 10m" in error.value.fix


@pytest.mark.parametrize("text", ["", "3", "big", "-3MB", "0MB", "3TB", -1, float("nan")])
def test_what_is_no_size_is_reported_with_examples(text: str | float) -> None:
    with pytest.raises(ConfigError, match="is not a size") as error:
        limits.size(text)
    assert "--max-size 3MB" in error.value.fix


@pytest.mark.parametrize("seconds", [0.2, 5, 59.5, 61, 600, 5400])
def test_a_duration_in_a_message_can_be_given(seconds: float) -> None:
    assert seconds <= limits.seconds(limits.duration(seconds)) < seconds + 1


def test_the_clock_of_a_search_that_is_resumed_begins_where_it_stood() -> None:
    time = [100.0]
    clock = Clock(60, now=lambda: time[0])
    clock.spent = 20
    time[0] = 115
    assert (clock.elapsed, clock.remaining) == (35, 25)


@pytest.mark.parametrize("recipe", ["entities", "lm", "conll2003", "hwu64-maml", "quadratics-lstm-optimizer"])
def test_other_recipes_are_refused_with_the_reason(recipe: str) -> None:
    with pytest.raises(ConfigError, match=r"label whole texts|few-shot tasks") as error:
        search.limits_of(recipes.load(recipe), "10m", None)
    assert "--budget" in error.value.fix


def test_macro_f1_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(4)
    found = Outcome(np.zeros(60), random.integers(4, size=60), random.integers(3, size=60))
    weights = np.concatenate([np.ones((1, 60), int), random.multinomial(60, np.full(60, 1 / 60), size=5)])
    expected = []
    for row in weights:
        targets, predicted = (np.repeat(values, row) for values in (found.targets, found.predicted))
        expected.append(f1_score(targets, predicted, average="macro"))
    assert rule.macro_f1(found, weights) == pytest.approx(expected)


def test_a_task_without_a_likeliest_label_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("lstmcli.tasks.classify.decide")
    with pytest.raises(ConfigError, match="one label each"):
        search.limits_of(TABLE, "10m", None)


def drawn(random: np.random.Generator, count: int, shift: float = 0.0) -> Outcome:
    """A model whose log-likelihoods are drawn at random, and whose labels are right half the time."""
    return Outcome(random.normal(shift - 1, 1, count), random.integers(2, size=count), np.ones(count, int))


def test_the_p_value_is_that_of_student_s_paired_test() -> None:
    random = np.random.default_rng(0)
    found, default = drawn(random, 30, 0.3), drawn(random, 30)
    differences = found.likelihood - default.likelihood
    statistic = differences.mean() / (differences.std(ddof=1) / np.sqrt(30))
    assert rule.advantage(found, default, uneven=False) == pytest.approx((differences.mean(), t.sf(statistic, 29)))


def test_models_that_differ_by_noise_seldom_replace_the_default() -> None:
    """Twenty trials per search, none of them better: by the union bound at most 5 %."""
    random, replaced, searches = np.random.default_rng(1), 0, 300
    right = np.ones(40, int)  # as many right labels of each, so that the test of the log-likelihoods decides
    for _ in range(searches):
        default = replace(drawn(random, 40), predicted=right)
        trials = [replace(drawn(random, 40), predicted=right) for _ in range(20)]
        replaced += any(_replaces(found, default, number) for number, found in enumerate(trials, 1))
    assert replaced / searches <= 0.05
    default = replace(drawn(random, 40), predicted=right)
    better = sum(_replaces(replace(drawn(random, 40, 1.0), predicted=right), default, 5) for _ in range(100))
    assert better > 80


def test_the_levels_of_all_trials_together_are_five_per_cent() -> None:
    levels = [rule.level(number) for number in range(1, 100_000)]
    assert sum(levels) < 0.05
    assert sum(levels) == pytest.approx(0.05, abs=1e-6)


def _replaces(found: Outcome, default: Outcome, number: int) -> bool:
    p_value = rule.advantage(found, default, uneven=False)[1]
    return rule.replaces(found, default, p_value, number=number, uneven=False)


def test_a_model_with_fewer_right_labels_never_replaces_the_default() -> None:
    random = np.random.default_rng(2)
    default, found = drawn(random, 100), drawn(random, 100, 5.0)
    default.predicted[:] = 1
    found.predicted[:] = 1
    assert _replaces(found, default, 1)
    found.predicted[0] = 0
    assert not _replaces(found, default, 1)


def test_the_same_model_is_not_better() -> None:
    default = drawn(np.random.default_rng(3), 50)
    for uneven in (False, True):
        gain, p_value = rule.advantage(default, default, uneven=uneven)
        assert (gain, p_value) == (0, 1)


def test_uneven_classes_are_compared_by_macro_f1_over_the_same_resamples() -> None:
    targets = np.repeat([0, 1], [90, 10])
    default = Outcome(np.zeros(100), np.zeros(100, int), targets)  # never finds the rare class
    predicted = targets.copy()
    predicted[:4] = 1
    found = Outcome(np.full(100, -1.0), predicted, targets)  # less likely, but it finds the rare class
    gain, p_value = rule.advantage(found, default, uneven=True)
    expected = [f1_score(targets, one.predicted, average="macro") for one in (found, default)]
    assert gain == pytest.approx(expected[0] - expected[1])
    assert p_value < 0.01
    assert rule.replaces(found, default, p_value, number=1, uneven=True)
    clear = Outcome(np.zeros(100), targets, targets)
    assert rule.replaces(clear, default, rule.advantage(clear, default, uneven=True)[1], number=20, uneven=True)
    assert rule.advantage(default, found, uneven=True)[1] > 0.99
