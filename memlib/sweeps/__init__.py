"""Sweeps: points that are evaluated once, in parallel on any number of machines, and kept.

Look first at `sweep`, and at `points` for what decides that two points are the same.
A point is a dict and its function is anyone's: only `physics` knows which fields switch effects on.
"""

from typing import TYPE_CHECKING

from memlib.base.faces import lazy_face

if TYPE_CHECKING:
    from memlib.sweeps.adaptive_seeds import AdaptiveSeeds
    from memlib.sweeps.cluster import SweepError
    from memlib.sweeps.engine import sweep
    from memlib.sweeps.points import Axes, Evaluate, Point, Task, grid, named
    from memlib.sweeps.store import Store, StoreError
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
