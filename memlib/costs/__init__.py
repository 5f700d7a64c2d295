"""Energy, time and area of a chip, from what its placement does and its devices conduct.

Look first at `cost`, a table by layer and component, and at `totals`, its sums.
What circuits cost is in `technology`, each number with its source; nothing there knows of networks.
"""

from typing import TYPE_CHECKING

from memlib.base.faces import lazy_face

if TYPE_CHECKING:
    from memlib.costs.activity import Activity, Measured, measure
    from memlib.costs.cost_table import cost, cost_of
    from memlib.costs.machine import Totals, balanced_copies, inventory, totals
    from memlib.costs.technology import TECHNOLOGIES, Circuit, Technology, Writing, technology_of
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
