"""One simulated chip: a network whose matrix layers are computed by tiles.

Look first at `map_network`, which makes one, and at `accuracy`, which makes one for each device seed.
A chip can be recalibrated digitally, written to a file and read again.
"""

from typing import TYPE_CHECKING

from memlib.base.faces import lazy_face

if TYPE_CHECKING:
    from memlib.chip.accuracies import accuracy
    from memlib.chip.chip_file import load_network, save_network
    from memlib.chip.layer import AnalogLayer
    from memlib.chip.network import AnalogNetwork, design_ranges, map_network, tile_cells
    from memlib.chip.recalibration import METHODS, recalibrate
    from memlib.chip.resources import check_memory, wire_seconds
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
