"""Statistics: how sure accuracies of simulated chips are, and what a claim needs to be confirmed.

Look first at `crossed_interval`, the interval over chips and images, and at `Claim`.
Everything here is about arrays of numbers: nothing knows what was simulated.
"""

from typing import TYPE_CHECKING

from memlib.base.faces import lazy_face

if TYPE_CHECKING:
    from memlib.evidence.claims import Claim, above, below, below_times, beyond, effect_text, exactly, within
    from memlib.evidence.intervals import (
        Interval,
        Tolerance,
        crossed_interval,
        crossing,
        difference_interval,
        pack,
        seed_interval,
        standard_error,
        tolerance,
        trainings_interval,
        unpack,
    )
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
