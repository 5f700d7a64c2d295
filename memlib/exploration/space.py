"""A design space as data: axes of listed values or ranges; some exist only where others have certain values."""

import math
from collections.abc import Mapping as MappingType, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from optuna.trial import Trial

from memlib.base.checks import fail, is_number, yes_or_no

Design = dict[str, Any]


@dataclass(frozen=True)
class Axis:
    """One choice. Give `values`, or `low` and `high`."""

    #: Numbers, texts, True, False or None; numbers in rising order are searched as an ordered scale.
    values: Sequence[Any] | None = None
    low: float | None = None
    high: float | None = None  #: included
    log: bool = False  #: spread evenly in the logarithm
    whole: bool = False  #: whole numbers only
    #: The axis exists only where each of these earlier axes, which list values, has one of the values given.
    when: MappingType[str, Sequence[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        yes_or_no("log", self.log)
        yes_or_no("whole", self.whole)
        (self._check_range if self.values is None else self._check_values)()

    def _check_values(self) -> None:
        if self.low is not None or self.high is not None or self.log or self.whole:
            fail("axis", self, "either values, or low and high with log or whole")
        if isinstance(self.values, str) or not isinstance(self.values, Sequence) or not self.values:
            fail("values", self.values, "a list of at least one value")
        for value in self.values:
            if not (is_number(value) or value is None or isinstance(value, str | bool)):
                fail("values", value, "numbers, texts, True, False or None")
        if len(set(self.values)) < len(self.values):
            fail("values", self.values, "different from each other")
        object.__setattr__(self, "values", tuple(self.values))

    def _check_range(self) -> None:
        for name in ("low", "high"):
            if not is_number(getattr(self, name)):
                fail(name, getattr(self, name), "a number, where no values are listed")
        low, high = self._range
        if not low < high:
            fail("low", low, f"below high={high!r}")
        if self.log and low <= 0:
            fail("low", low, "above 0 on a logarithmic axis")
        if self.whole and math.ceil(low) > math.floor(high):
            fail("low", low, f"at most a whole number that is not above high={high!r}, if whole")

    @property
    def _range(self) -> tuple[float, float]:
        assert self.low is not None  # as __post_init__ checks
        assert self.high is not None
        return self.low, self.high

    def at(self, share: float) -> Any:
        """The value below which so much of the axis lies; `share` is from 0 to 1."""
        if self.values is not None:
            return self.values[min(int(share * len(self.values)), len(self.values) - 1)]
        low, high = self._range
        if self.whole:
            low, high = math.ceil(low), math.floor(high) + 1
        value = float(np.exp(np.log(low) + share * np.log(high / low)) if self.log else low + share * (high - low))
        return min(int(value), high - 1) if self.whole else value

    def listed(self) -> Sequence[Any] | None:
        """All its values, or None for a range of more than whole numbers."""
        if self.values is None and self.whole:
            low, high = self._range
            return range(math.ceil(low), math.floor(high) + 1)
        return self.values

    def suggest(self, name: str, trial: Trial) -> Any:
        """The value that Optuna proposes."""
        if self.values is None:
            low, high = self._range
            if self.whole:
                return trial.suggest_int(name, math.ceil(low), math.floor(high), log=self.log)
            return trial.suggest_float(name, low, high, log=self.log)
        if all(map(is_number, self.values)) and list(self.values) == sorted(self.values):
            return self.values[trial.suggest_int(name, 0, len(self.values) - 1)]
        return trial.suggest_categorical(name, self.values)


class Space:
    """All designs there are.

    Args:
        axes: by name, in order; a list stands for an `Axis` of its values.

    Raises:
        ValueError: for no axes, or a condition on no value, or on one that is not there.
    """

    def __init__(self, axes: MappingType[str, Axis | Sequence[Any]]) -> None:
        if not axes:
            fail("axes", dict(axes), "at least one")
        self.axes = {name: axis if isinstance(axis, Axis) else Axis(axis) for name, axis in axes.items()}
        earlier: dict[str, Axis] = {}
        for name, axis in self.axes.items():
            for other, allowed in axis.when.items():
                values = earlier[other].values if other in earlier else None
                if values is None:
                    fail(f"when of axis {name!r}", other, "an axis before it that lists values")
                if isinstance(allowed, str) or not allowed:
                    fail(f"when of axis {name!r}", allowed, f"a list of values of {other!r}")
                for value in allowed:
                    if value not in values:
                        fail(f"when of axis {name!r}", value, f"a value of {other!r}: {', '.join(map(str, values))}")
            earlier[name] = axis

    def exists(self, name: str, design: Design) -> bool:
        """Whether a design, whose earlier axes are chosen, has this axis."""
        return all(other in design and design[other] in allowed for other, allowed in self.axes[name].when.items())

    def suggest(self, trial: Trial) -> Design:
        """The design that Optuna proposes."""
        design: Design = {}
        for name, axis in self.axes.items():
            if self.exists(name, design):
                design[name] = axis.suggest(name, trial)
        return design

    def grid(self) -> list[Design]:
        """All designs, the last axis fastest. Raises ValueError if an axis is a range."""
        for name, axis in self.axes.items():
            if axis.values is None:
                fail(f"axis {name!r}", axis, "a list of values, in a grid")
        designs = self.listed()
        assert designs is not None  # as no axis is a range
        return designs

    def listed(self, most: float = math.inf) -> list[Design] | None:
        """All designs, the last axis fastest; None if there are more than `most`, or an axis has no end of values."""
        designs: list[Design] = [{}]
        for name, axis in self.axes.items():
            if (values := axis.listed()) is None:
                return None
            exist = [self.exists(name, design) for design in designs]
            if sum(len(values) if there else 1 for there in exist) > most:
                return None
            choices = [{name: value} for value in values]
            designs = [d | c for d, there in zip(designs, exist, strict=True) for c in (choices if there else [{}])]
        return designs
