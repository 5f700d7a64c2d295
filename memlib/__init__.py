"""Design-space exploration of neural networks on tiled 1T1R RRAM crossbars.

Map a torch model with `map_network`, describe the chip with `Device`, `Tile` and `Mapping`, and price it with `cost`.
The subpackages go from physics to figures, each knows only those before it: base, cells, wires, layers, mapping, tiles,
chip, costs, circuits, zoo, training, evidence, sweeps, exploration, studies, explorer, artifact.
"""

from typing import TYPE_CHECKING

from memlib.base.faces import lazy_face

if TYPE_CHECKING:
    from memlib.cells.device import Device
    from memlib.chip.accuracies import accuracy
    from memlib.chip.chip_file import load_network, save_network
    from memlib.chip.network import AnalogNetwork, map_network, tile_cells
    from memlib.chip.recalibration import recalibrate
    from memlib.costs.cost_table import cost
    from memlib.costs.machine import totals
    from memlib.mapping.footprints import best_windows, footprint
    from memlib.mapping.hardware import Hardware
    from memlib.mapping.scheme import Mapping
    from memlib.mapping.tile import Tile
    from memlib.sweeps.adaptive_seeds import AdaptiveSeeds
    from memlib.sweeps.engine import sweep
    from memlib.tiles.input_record import record_inputs
    from memlib.wires.solver import effective_conductance
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)

__version__ = "0.2.0"
