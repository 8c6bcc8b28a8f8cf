"""What unknown words cost, by hand, and that nothing is given away."""

import math

import numpy as np
import pytest

from lstmcli.tasks import model_language
from lstmcli.tasks.spelling import CODE_POINTS, spelling_costs


def test_the_cost_of_spelling_is_that_by_hand() -> None:
    # Of "ab" and "b": a once, b twice, an end twice; one more of each and one for all others make 9.
    a, b, end, other = 2 / 9, 3 / 9, 3 / 9, 1 / 9 / (CODE_POINTS - 2)
    found = spelling_costs(["ab", "b"], [["ba"], [], ["b", "aé"]])
    assert found == pytest.approx([-math.log(b * a * end), 0.0, -math.log(b * end * a * other * end)])


def test_the_probabilities_of_all_characters_and_the_end_sum_to_one() -> None:
    known = ["kettle", "lid", "rattles"]
    letters = sorted(set("".join(known)))
    (end,) = spelling_costs(known, [[""]])
    with_end = spelling_costs(known, [[letter] for letter in (*letters, "é")])
    costs = [cost - end for cost in with_end]
    total = math.exp(-end) + sum(math.exp(-cost) for cost in costs[:-1])
    assert total + (CODE_POINTS - len(letters)) * math.exp(-costs[-1]) == pytest.approx(1.0)


def test_bits_per_character_count_the_spelling_of_unknown_words() -> None:
    outputs = np.array([[3.0, 5.0, 4.0], [6.0, 2.0, 3.0]])  # nats in both directions, words and the end
    characters = np.array([12, 9])
    spelled = np.array([0.0, 7.5])
    (bits,) = model_language.by_character(outputs, characters, spelled).values()
    assert bits.value == pytest.approx((4.0 + 4.0 + 7.5) / 21 / math.log(2))
    (alone,) = model_language.by_character(outputs, characters, np.zeros(2)).values()
    assert alone.value == pytest.approx(8.0 / 21 / math.log(2))
    (share,) = model_language.unknown_words(np.array([0, 2]), np.array([3, 2])).values()
    assert (share.value, share.low, share.high) == (pytest.approx(2 / 5), 0.0, 1.0)
