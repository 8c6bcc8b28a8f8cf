"""The header of a checkpoint: what it must hold, and of which types. Fields that this version does not know pass."""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from lstmcli.data.in_memory import LABEL_TYPES
from lstmcli.data.text import vocabulary_state

DEEPEST = 200  # levels; each adaptation of an adapted model adds one
PER_BRACKET = 8  # characters of the text, at least: brackets alone take a hundred times their size when they are read
FREE_BRACKETS = 100_000
MOST_VALUES = 4_000_000  # of a text of JSON; a vocabulary has up to a million words, and those with frozen vectors
CLASS_WEIGHTS = "class_weights"  # of progress: by label, what its probability is multiplied by to decide
THRESHOLDS = "thresholds"  # of progress: by label, the probability from which a model of sets of labels gives it
TEMPERATURES = (1e-3, 1e3)  # calibration stays well within


class Figure(BaseModel):
    """A figure of a baseline with its interval."""

    model_config = ConfigDict(strict=True)
    value: float
    low: float
    high: float


class Amount(BaseModel):
    """The amount of training data, from which ``config/pace.py`` derives the length of a run."""

    model_config = ConfigDict(strict=True, extra="forbid")
    texts: int = Field(ge=0)
    tokens: int = Field(ge=0)


class Progress(BaseModel):
    """The position of a run, and facts about what it learned from."""

    model_config = ConfigDict(strict=True, extra="allow")
    epoch: int = Field(0, ge=0)
    batch: int = Field(0, ge=0)
    step: int = Field(0, ge=0)
    stale: int = Field(0, ge=0)
    loss_sum: float = 0.0
    loss_count: int = Field(0, ge=0)
    best: list[float] = Field([0.0, 0.0], min_length=2, max_length=2)
    data: str = ""
    shares: dict[str, dict[str, float]] = Field(default_factory=dict)
    amount: Amount | None = None
    headed: bool = True
    adapted_from: dict[str, Any] = Field(default_factory=dict)
    shots: int = 0
    support: dict[str, int] = Field(default_factory=dict)
    class_weights: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(default_factory=dict)
    thresholds: dict[str, Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]] = Field(default_factory=dict)
    label_type: Literal[*LABEL_TYPES] = "str"  # type: ignore[valid-type]


class Header(BaseModel):
    """All of it. config and context are validated by the classes of ``config``."""

    model_config = ConfigDict(strict=True, arbitrary_types_allowed=True)
    config: dict[str, Any]
    vocabulary: dict[str, Any]
    temperature: float = Field(ge=TEMPERATURES[0], le=TEMPERATURES[1], allow_inf_nan=False)
    min_confidence: float = Field(0.0, ge=0, le=1, allow_inf_nan=False)
    progress: Progress
    metrics: dict[str, dict[str, dict[str, Figure]]]
    context: dict[str, Any] | None = None


def loaded(text: str) -> Any:
    """Read JSON that takes no more memory than its text lets expect.

    Raises:
        ValueError: It is no JSON, or has many brackets, values or levels.
        RecursionError: It is nested too deeply for Python.
    """
    if text.count("[") + text.count("{") > FREE_BRACKETS + len(text) // PER_BRACKET:
        raise ValueError("more brackets than content")
    if text.count(",") > MOST_VALUES:
        raise ValueError("too many values")
    value = json.loads(text)
    _check_depth(value)
    return value


def checked(header: dict[str, Any]) -> dict[str, Any]:
    """Return the header. Raises ValueError where it lacks something, or something is of another type."""
    Header.model_validate(header)
    vocabulary_state.check(header["vocabulary"])
    return header


def _check_depth(header: object) -> None:
    level = [header]
    for _ in range(DEEPEST):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return
    raise ValueError(f"more than {DEEPEST} levels")


def _inside(outer: object) -> list[Any]:
    inner = list(outer.values()) if isinstance(outer, dict) else outer if isinstance(outer, list) else []
    return [one for one in inner if isinstance(one, dict | list)]
