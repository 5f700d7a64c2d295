"""One memory cell: its conductance after programming and ageing, its I-V law, and how it switches.

Look first at `Device`, whose fields are all non-idealities, and at `PRESETS`, published devices with their sources.
A cell knows nothing of wires, of the weight that it holds, or of the tile around it.
"""

from typing import TYPE_CHECKING

from memlib.base.faces import lazy_face

if TYPE_CHECKING:
    from memlib.cells.device import Device
    from memlib.cells.device_presets import PRESETS
    from memlib.cells.iv_law import IVLaw
    from memlib.cells.pulses import pulse_trains, respond, sweep_iv
    from memlib.cells.recombination import demarcation_energy, surviving
    from memlib.cells.static_effects import draw_effect, named_draws, program_cells
    from memlib.cells.switching import VTEAM, DataDriven, LinearIonDrift, StanfordPKU, SwitchingModel
    from memlib.cells.writing import PulseScheme, WriteResult, programming_error, write_verify
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
