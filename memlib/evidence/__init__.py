"""Statistics: how sure accuracies of simulated chips are, and what a claim needs to be confirmed.

Look first at `crossed_interval`, the interval over chips and images, and at `Comparison`, which decides claims.
Everything here is about numbers and tables: nothing knows what was simulated.
"""

from typing import TYPE_CHECKING

from memlib.base.faces import lazy_face

if TYPE_CHECKING:
    from memlib.evidence.answers import pack, unpack
    from memlib.evidence.claims import Claim, above, below, below_times, beyond, effect_text, exactly, within
    from memlib.evidence.comparisons import Chips, Comparison, Loss, tidy
    from memlib.evidence.intervals import Interval, crossed_interval, difference_interval, seed_interval
    from memlib.evidence.tolerances import Tolerance, crossing, tolerance, tolerance_table
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
