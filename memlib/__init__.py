"""Design-space exploration of neural networks on tiled 1T1R RRAM crossbars."""

from memlib.accuracy import accuracy
from memlib.calibration import record_inputs
from memlib.chip import AnalogNetwork, map_network, tile_cells
from memlib.cost import cost, totals
from memlib.device import Device
from memlib.footprint import best_windows, footprint
from memlib.hardware import Hardware
from memlib.mapping import Mapping
from memlib.parasitics import effective_conductance
from memlib.recalibration import recalibrate
from memlib.saved import load_network, save_network
from memlib.seeds import AdaptiveSeeds
from memlib.sweep import sweep
from memlib.tile import Tile

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
