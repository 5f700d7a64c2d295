"""Where weights sit: the hardware that is chosen, and the place of every weight on tiles of limited size.

Look first at `Hardware` (a `Device`, a `Tile` and a `Mapping`), then at `plan_chip`, the plan of a network's chip.
Nothing is programmed here; cells and uses of every layer are counted by `footprint`.
"""

from typing import TYPE_CHECKING

from memlib.base.faces import lazy_face

if TYPE_CHECKING:
    from memlib.mapping.footprints import best_windows, footprint, layer_activity, layer_footprint
    from memlib.mapping.hardware import Hardware, per_layer
    from memlib.mapping.placement import PlacedTile, Placement, place
    from memlib.mapping.plan import LayerPlan, plan_chip
    from memlib.mapping.scheme import Mapping, target_conductances, usable_states, zero_state
    from memlib.mapping.tile import Tile
    from memlib.mapping.vertical_stack import Stack, write_leakage
    from memlib.mapping.window import Window, window_of
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
