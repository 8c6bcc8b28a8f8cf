"""The images of the report: geometry against values computed by hand, and every one well-formed XML."""

import math
from xml.etree import ElementTree

import numpy as np
import pytest

from lstmcli.report import charts, judged, svg
from lstmcli.report.charts import Axis, Estimate, Series

HOSTILE = '<script>alert("x")</script>&\'\x00\ud800'


def elements(drawn: str, name: str, kind: str = "") -> list[dict[str, str]]:
    """The attributes of the elements of a name, and of a class where one is given."""
    found = [dict(one.attrib) for one in ElementTree.fromstring(drawn).iter(name)]
    return [one for one in found if kind in one.get("class", "").split()] if kind else found


def points(one: dict[str, str]) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in one["points"].split())]


def test_a_line_goes_through_its_points() -> None:
    """Across: 46 to 440 for 0 to 10. Up: 240 to 28 for 0 to 1."""
    series = [Series("a", [(0, 0), (5, 0.5), (10, 1)], low=[0, 0.25, 1], high=[0, 1, 1], mark=5)]
    across, up = Axis(0, 10, "x"), Axis(0, 1, "y")
    drawn = charts.lines(series, across, up, "a line", height=280)
    assert [points(one) for one in elements(drawn, "polyline")] == [[(46, 240), (243, 134), (440, 28)]]
    (band,) = elements(drawn, "polygon")
    assert points(band) == [(46, 240), (243, 28), (440, 28), (440, 28), (243, 187), (46, 240)]
    (ring,) = elements(drawn, "circle")
    assert (ring["cx"], ring["cy"]) == ("243", "134")


def test_a_logarithmic_axis_has_powers_of_ten_at_equal_distances() -> None:
    scale = svg.Scale(1e-4, 1, 0, 400, logarithmic=True)
    assert [scale(value) for value in (1e-4, 1e-3, 1e-2, 0.1, 1, 0)] == pytest.approx([0, 100, 200, 300, 400, 0])
    assert scale.ticks() == pytest.approx([1e-4, 1e-3, 1e-2, 0.1, 1])
    assert [charts.power(value) for value in (1e-10, 0.1, 1, 1e12)] == ["10⁻¹⁰", "10⁻¹", "1", "10¹²"]


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (0.65, 0.9, [0.65, 0.7, 0.75, 0.8, 0.85, 0.9]), (1, 4, [1, 2, 3, 4]),
     (0, 30, [0, 10, 20, 30]), (3, 3, [3])],
)  # fmt: skip
def test_ticks_are_round_values_within_the_axis(low: float, high: float, ticks: list[float]) -> None:
    assert svg.Scale(low, high, 0, 1).ticks() == pytest.approx(ticks)


def test_a_reliability_diagram_has_a_dot_per_bin_and_bars_of_the_counts() -> None:
    """Across: 46 to 440; up: 300 to 28; the highest bar has 44 pixels."""
    drawn = charts.reliability([(0.5, 1.0)], [(0.25, 0.5), (0.75, 1.0)], [10, 40], "a diagram")
    after = [(float(one["cx"]), float(one["cy"])) for one in elements(drawn, "circle", "c1")]
    assert after == [(144.5, 164), (341.5, 28)]
    assert [(float(one["cx"]), float(one["cy"])) for one in elements(drawn, "circle", "c2")] == [(243, 28)]
    assert [(float(one["y"]), float(one["height"])) for one in elements(drawn, "rect")] == [(289, 11), (256, 44)]
    assert [one.text for one in ElementTree.fromstring(drawn).iter("title")] == ["10", "40"]


def test_an_interval_spans_its_limits() -> None:
    """138 to 398 for 0 to 1; the first row is 13 pixels below the upper edge."""
    drawn = charts.estimates([Estimate("a", 0.5, 0.25, 1, note="50%")], Axis(0, 1, "x"), "a row", reference=0.75)
    (whisker,) = elements(drawn, "line", "whisker")
    assert [float(whisker[key]) for key in ("x1", "x2", "y1")] == [203, 398, 25]
    (dot,) = elements(drawn, "circle")
    assert (float(dot["cx"]), float(dot["cy"])) == (268, 25)
    assert float(elements(drawn, "line", "reference")[0]["x1"]) == 333
    assert "50%" in [one.text for one in ElementTree.fromstring(drawn).iter("text")]


def test_a_matrix_has_the_counts_row_by_row_and_shades_of_the_fractions() -> None:
    drawn = charts.matrix(["a", "b"], [[3, 1], [0, 4]], "a matrix")
    assert [one.text for one in ElementTree.fromstring(drawn).iter("text")][-4:] == ["3", "1", "0", "4"]
    shades = [float(one["fill-opacity"]) for one in elements(drawn, "rect")]
    assert shades == pytest.approx([0.06 + 0.94 * share for share in (0.75, 0.25, 0, 1)], abs=0.01)
    assert [float(one["x"]) for one in elements(drawn, "rect")] == [113, 217, 113, 217]


def test_a_long_name_keeps_its_beginning_and_its_end() -> None:
    assert [svg.cut("kitchen_housewares.t4", limit) for limit in (21, 9, 3, 2)] == [
        "kitchen_housewares.t4", "kitc…s.t4", "k…4", "k…",
    ]  # fmt: skip


def test_the_longest_bar_fills_the_width_and_the_others_are_in_proportion() -> None:
    drawn = charts.bars([("a", 8, "8"), ("b", 2, "2")], "bars", named=96)
    assert [float(one["width"]) for one in elements(drawn, "rect")] == [300, 75]


def test_dots_of_a_strip_do_not_cover_each_other_while_there_is_room() -> None:
    places = charts.swarm([10, 10, 10, 10, 100])
    assert [x for x, _ in places] == [10, 10, 10, 10, 100]
    assert len({y for _, y in places[:4]}) == 4
    assert places[4] == (100, 0)
    many = charts.swarm([1.0] * 50)
    assert max(abs(y) for _, y in many) <= 16


def test_every_image_is_well_formed_with_any_names_and_no_values() -> None:
    estimate, axis = Estimate(HOSTILE, 0.5, 0.5, 0.5, note=HOSTILE), Axis(0.5, 0.5, HOSTILE)
    images = [
        charts.lines([Series(HOSTILE, [(0, 0)])], axis, axis, HOSTILE),
        charts.lines([], axis, axis, ""),
        charts.reliability([], [], [], HOSTILE),
        charts.estimates([estimate], axis, HOSTILE, first=True),
        charts.bars([(HOSTILE, 0, HOSTILE)], HOSTILE),
        charts.matrix([HOSTILE] * 12, [[0] * 12] * 12, HOSTILE),
        charts.strips([(estimate, [0.5, 0.5])], axis, HOSTILE),
        charts.dumbbells([(HOSTILE, [None, 0.5, 0.1, 0.2, 0.3])], axis, HOSTILE),
    ]
    for drawn in images:
        root = ElementTree.fromstring(drawn)
        assert {one.tag for one in root.iter()} <= {
            "svg", "g", "text", "title", "line", "polyline", "polygon", "rect", "circle",
        }  # fmt: skip
        coordinates = [
            value for one in root.iter() for key, value in one.attrib.items() if key in ("x", "y", "cx", "x1")
        ]
        assert all(math.isfinite(float(value)) for value in coordinates)
        drawn.encode()  # a lone surrogate could not be written


def test_bins_of_the_diagram_are_those_of_the_calibration_error() -> None:
    from lstmcli.tasks import metrics

    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.ones(3), 500)
    targets = random.integers(3, size=500)
    right, sure = probabilities.argmax(axis=1) == targets, probabilities.max(axis=1)
    gaps = sum(count * abs(at - share) for at, share, count in judged.bins(sure, right)) / 500
    assert judged.BINS == metrics.BINS
    assert gaps == pytest.approx(metrics.calibration_error(probabilities, targets))


def test_thresholds_against_counts_by_hand() -> None:
    rows = [{"text": "", "target": "a", "label": "a" if good else "b", "probability": sure}
            for sure, good in ((0.9, True), (0.8, False), (0.7, True), (0.6, True))]  # fmt: skip
    found = judged.judged(rows)
    assert found is not None
    by_threshold = {row.threshold: (row.coverage, row.precision, row.recall) for row in judged.thresholds(found)}
    assert by_threshold[0.0] == (1, 3 / 4, 3 / 4)
    assert by_threshold[0.7] == (3 / 4, 2 / 3, 2 / 4)
    assert by_threshold[0.75] == (2 / 4, 1 / 2, 1 / 4)
    assert by_threshold[0.9] == (1 / 4, 1, 1 / 4)
    assert max(by_threshold) == 0.9  # above, no answer is left
    assert [(one.probability, one.predicted, one.true) for one in found.mistakes] == [(0.8, "b", "a")]


def test_entities_are_right_where_span_and_type_are() -> None:
    words = ("Ada", "Lovelace", "met", "Bob", "in", "Rome", "today")
    target = ("B-PER", "E-PER", "O", "S-PER", "O", "S-LOC", "O")
    entities = [
        {"label": "PER", "start": 0, "end": 2, "probability": 0.9},  # right
        {"label": "LOC", "start": 3, "end": 4, "probability": 0.8},  # wrong type
        {"label": "LOC", "start": 5, "end": 7, "probability": 0.7},  # wrong boundary
        {"label": "PER", "start": 2, "end": 3, "probability": 0.6},  # invented
    ]
    found = judged.judged([{"text": words, "target": target, "entities": entities}])
    assert found is not None
    assert (found.what, found.expected, found.right.tolist()) == ("entities", 3, [True, False, False, False])
    assert [(one.within, one.predicted, one.true) for one in found.mistakes] == [
        ("Bob", "LOC", "PER “Bob”"), ("Rome today", "LOC", "LOC “Rome”"), ("met", "PER", "no entity"),
    ]  # fmt: skip
    assert judged.true_entities(target) == [(0, 2, "PER"), (3, 4, "PER"), (5, 6, "LOC")]


def test_the_most_confused_pairs_come_first() -> None:
    rows = [{"target": true, "label": label} for true, label in ("ab", "ab", "aa", "ba", "cb")]
    counts = judged.confusion(rows, "abc")
    assert counts.tolist() == [[1, 2, 0], [1, 0, 0], [0, 1, 0]]
    assert judged.confused(counts, "abc")[0] == ("a", "b", 2, 3)
