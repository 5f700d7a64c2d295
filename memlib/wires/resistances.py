"""Where an array's resistances are, and how large: the one configuration that all solvers of this package take."""

from collections.abc import Iterator

import numpy as np
from torch import Tensor

from memlib.base.checks import in_range
from memlib.base.configuration import Config, config

Resistance = float | np.ndarray | Tensor


@config
class Wires(Config):
    """Resistances of an array's lines, ohm: numbers, or arrays whose leading dimensions are those of the conductances.

    Every row is driven at its left end, every column is sensed at its lower end.
    """

    row: Resistance = 0.0  #: of the segment before each cell of a row: a number or (..., cols)
    col: Resistance = 0.0  #: of the segment after each cell of a column: a number or (..., rows)
    driver: Resistance = 0.0  #: from each driver to its row's first segment: a number or (...)
    sense: Resistance = 0.0  #: from each column's last segment to the virtual ground: a number or (...)
    transistor: Resistance = 0.0  #: in series with each cell: a number or (..., rows, cols)

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not isinstance(value, np.ndarray | Tensor):
                in_range(f"r_{name}", value, 0, float("inf"), "a number or an array, ohm")

    def __iter__(self) -> Iterator[Resistance]:
        """In the order of the fields, which is that of `effective_conductance`'s arguments."""
        return iter(vars(self).values())

    @property
    def shared(self) -> bool:
        """Whether cells share resistances (numbers), so that the current of each depends on all others."""
        return any((self.row, self.col, self.driver, self.sense))
