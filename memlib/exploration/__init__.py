"""Exploration of a design space: Pareto fronts, search, sensitivity, and a formula for the loss.

Look first at `Space` and `search`; `fit` is the formula that predicts a design's loss.
A design is a dict of named values: only `severity`, the inputs of the formula, knows of networks and hardware.
"""

from typing import TYPE_CHECKING

from memlib.base.faces import lazy_face

if TYPE_CHECKING:
    from memlib.exploration.loss_formula import Formula, Linear, error_interval, fit, fit_linear, held_out
    from memlib.exploration.multi_objective import Fidelity, explore, search
    from memlib.exploration.pareto import front_probability, hypervolume, mean_draws, nondominated
    from memlib.exploration.severity import cell_error, share_per_ohm
    from memlib.exploration.space import Axis, Design, Space
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
