"""Names of labels as texts: when they count, held against enumeration; and what they change."""

from itertools import product

import numpy as np
import pytest

from lstmcli import load
from lstmcli.data.batches.episodes import Draw
from lstmcli.inference import label_texts
from lstmcli.types import Example

TEXTS = {
    "cancel_order": ["Please cancel what I ordered.", "I do not want the order any more.", "Stop my order."],
    "track_parcel": ["Where is my parcel?", "The parcel has not come yet.", "When will the package arrive?"],
    "change_password": ["I forgot my password.", "How do I set a new password?", "The password does not work."],
}
QUERIES = ["Can I take back my order?", "Has the postman been here?", "I cannot log in."]


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("card_arrival", "card arrival"),
        ("CardArrival", "card arrival"),
        ("Refund-not_showing up", "refund not showing up"),
        ("sports/football", "sports football"),
        ("grün", "grün"),
        ("t4", "t4"),
        ("17", ""),
        ("3-5", ""),
    ],
)
def test_words_of_a_name(label: str, text: str) -> None:
    assert label_texts.as_text(label) == text


def test_a_name_without_letters_leaves_all_out() -> None:
    assert label_texts.examples(["good", "1"]) == []
    assert [(one.text, one.target) for one in label_texts.examples(["a_b", "c"])] == [("a b", "a_b"), ("c", "c")]


@pytest.mark.parametrize("count", [3, 5, 6])
def test_the_threshold_is_that_of_guessing(count: int) -> None:
    """Names count exactly if guessing labels, all sequences enumerated, rarely has as many right."""
    labels = 3
    names = np.eye(labels, dtype=np.float32)
    targets = np.arange(count) % labels
    guesses = np.array(list(product(range(labels), repeat=count)))  # [sequence, text]
    right = (guesses == targets).sum(axis=1)
    decided = set()
    for correct in range(count + 1):
        nearest = np.where(np.arange(count) < correct, targets, (targets + 1) % labels)
        rare = (right >= correct).mean() <= label_texts.SIGNIFICANT
        assert label_texts.tells_apart(names, 2 * names[nearest], targets) is bool(rare)
        decided.add(bool(rare))
    assert decided == ({True, False} if count > 4 else {False})


def _probabilities(by_label: dict[str, list[str]]) -> tuple[list[list[float]], list[str]]:
    texts, labels = (
        [text for rows in by_label.values() for text in rows],
        [k for k, rows in by_label.items() for _ in rows],
    )
    notes: list[str] = []
    adapted = load("english").adapt(texts, labels, listener=lambda event: notes.append(getattr(event, "text", "")))
    return adapted.predict_proba(QUERIES).tolist(), notes


def test_a_name_is_one_more_text(monkeypatch: pytest.MonkeyPatch) -> None:
    counted, notes = _probabilities(TEXTS)
    assert label_texts.REMARK in notes
    monkeypatch.setattr(label_texts, "counted", lambda *_: False)
    without, notes = _probabilities(TEXTS)
    assert label_texts.REMARK not in notes
    written, _ = _probabilities({label: [*rows, label.replace("_", " ")] for label, rows in TEXTS.items()})
    assert counted == written
    assert counted != without


def test_arbitrary_names_do_not_count() -> None:
    _, notes = _probabilities(dict(zip("BCA", TEXTS.values(), strict=True)))
    assert label_texts.REMARK not in notes


def test_only_episodes_that_names_tell_apart_have_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three labels the texts 0 to 5 are near their names, 6 to 11 near that of the next label; names are last."""
    rows = np.concatenate([np.eye(3)[[0, 0, 1, 1, 2, 2]], np.eye(3)[[1, 1, 2, 2, 0, 0]], np.eye(3)])
    texts = [Example(str(index), "abc"[index - 12] if index >= 12 else None) for index in range(15)]
    monkeypatch.setattr(label_texts, "_embeddings", lambda _, part: rows[[int(str(one.text)) for one in part]])
    targets, query = np.array([0, 0, 1, 1, 2, 2]), np.zeros(1, int)
    draws = [
        Draw("", ("a", "b", "c"), np.arange(6), targets, query, query),
        Draw("", ("a", "b", "c"), np.arange(6, 12), targets, query, query),
        Draw("", ("b", "c", "a"), np.array([2, 3, 4, 5, 0, 1]), targets, query, query),
    ]
    first, second, third = label_texts.with_names(None, texts, draws, names=3)  # type: ignore[arg-type]
    assert first.support.tolist() == [0, 1, 2, 3, 4, 5, 12, 13, 14]
    assert first.support_targets.tolist() == [0, 0, 1, 1, 2, 2, 0, 1, 2]
    assert second == draws[1]
    assert third.support.tolist() == [2, 3, 4, 5, 0, 1, 13, 14, 12]
    assert third.support_targets.tolist() == [0, 0, 1, 1, 2, 2, 0, 1, 2]
