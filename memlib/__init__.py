"""Design-space exploration of neural networks on tiled 1T1R RRAM crossbars."""

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

__version__ = "0.1.0"
__all__ = [
    "AdaptiveSeeds",
    "AnalogNetwork",
    "Device",
    "Hardware",
    "Mapping",
    "Tile",
    "accuracy",
    "best_windows",
    "cost",
    "effective_conductance",
    "footprint",
    "load_network",
    "map_network",
    "recalibrate",
    "record_inputs",
    "save_network",
    "sweep",
    "tile_cells",
    "totals",
]
