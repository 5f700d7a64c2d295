"""How many device seeds a point gets: as many as its interval needs."""

import math
from collections.abc import Callable

import pandas as pd

from memlib.base.checks import fail, is_number, positive, whole
from memlib.base.configuration import Config, config
from memlib.evidence.intervals import Interval, seed_interval


@config
class AdaptiveSeeds(Config):
    """Seeds 0, 1, 2, ... of each point, until its 95 % interval is no wider than asked.

    Intervals that were watched until they were narrow enough are too sure of themselves: for normally distributed
    accuracies 93 % with 5 first seeds and 94 to 95 % with 10, for skewed ones 87 to 89 % and 90 to 92 % (gamma; 92 to
    94 % with a fixed number of as many seeds), measured by benchmarks/coverage.py. Use them to explore, and a fixed
    number of seeds for claims.
    """

    width: float  #: wanted high - low of the interval, in units of the result
    #: Whose interval: a number among the results, or a function that makes an interval of a point's rows.
    of: str | Callable[[pd.DataFrame], Interval] = "accuracy"
    first: int = 10  #: seeds that every point gets
    most: int = 50  #: seeds that no point exceeds

    def __post_init__(self) -> None:
        self.check(positive, "width")
        if not callable(self.of) and not isinstance(self.of, str):
            fail("of", self.of, "the name of a number among the results, or a function of a point's rows")
        self.check(whole, "first", low=2)
        self.check(whole, "most", low=self.first)

    def count(self, rows: pd.DataFrame) -> int:
        """How many seeds a point should have, after the results in `rows`; their number if more would not help.

        Raises ValueError if the results have no such number, or one of them has none.
        """
        if not callable(self.of) and self.of not in rows:
            results = list(rows)[list(rows).index("seed") + 1 :] if "seed" in rows else list(rows)
            fail("of", self.of, f"among the results: {', '.join(results)}")
        if not callable(self.of) and not all(isinstance(v, bool) or is_number(v) for v in rows[self.of]):
            fail("of", self.of, f"a number in every result, not {rows[self.of].tolist()}")
        i = self.of(rows) if callable(self.of) else seed_interval(rows[self.of], constant=True)
        if i.high - i.low <= self.width or i.floor >= self.width:
            return i.n
        if math.isinf(i.high - i.low):
            return min(self.most, 2 * i.n)
        # the seeds' part of the squared width falls as 1/n; at most twice as many, for it is known only roughly
        factor = ((i.high - i.low) ** 2 - i.floor**2) / (self.width**2 - i.floor**2)
        return max(i.n, min(self.most, 2 * i.n, max(math.ceil(i.n * factor), i.n + 1)))
