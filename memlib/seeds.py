"""How many device seeds a point gets: as many as its interval needs."""

import math
from collections.abc import Callable

import pandas as pd

from memlib.config import Config, config
from memlib.statistics import Interval, seed_interval
from memlib.validate import fail, positive, whole


@config
class AdaptiveSeeds(Config):
    """Seeds 0, 1, 2, ... of each point, until its 95 % interval is no wider than asked.

    An interval that was watched until it was narrow enough is a little too sure of itself: measured by
    benchmarks/coverage.py, and less so the larger `first` is.
    """

    width: float  #: wanted high - low of the interval, in units of the result
    #: Whose interval: a number among the results, or a function that makes an interval of a point's rows.
    of: str | Callable[[pd.DataFrame], Interval] = "accuracy"
    first: int = 5  #: seeds that every point gets
    most: int = 50  #: seeds that no point exceeds

    def __post_init__(self) -> None:
        positive("width", self.width)
        if not callable(self.of) and not isinstance(self.of, str):
            fail("of", self.of, "the name of a number among the results, or a function of a point's rows")
        whole("first", self.first, 2)
        whole("most", self.most, self.first)

    def count(self, rows: pd.DataFrame) -> int:
        """How many seeds a point should have, after the results in `rows`; their number if more would not help.

        Raises:
            ValueError: if the results have no such number.
        """
        if not callable(self.of) and self.of not in rows:
            fail("of", self.of, f"among the results: {', '.join(map(str, rows))}")
        i = self.of(rows) if callable(self.of) else seed_interval(rows[self.of])
        if i.high - i.low <= self.width or i.floor >= self.width:
            return i.n
        # the seeds' part of the squared width falls as 1/n; at most twice as many, for it is known only roughly
        factor = ((i.high - i.low) ** 2 - i.floor**2) / (self.width**2 - i.floor**2)
        return min(self.most, 2 * i.n, math.ceil(i.n * max(factor, 1)) + (factor <= 1))
