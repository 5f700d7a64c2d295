"""Tiles that are programmed and read: conductances, converters, read noise and the power of arrays.

Look first at `converters`, where DACs and ADCs round, and at `reads`, which turn input codes into output codes.
`tests/reference.py` is a second simulator, which defines what they compute.
"""

from typing import TYPE_CHECKING

from memlib.base.faces import lazy_face

if TYPE_CHECKING:
    from memlib.tiles.adc_range import adc_full_scale
    from memlib.tiles.array_power import Load
    from memlib.tiles.conductances import ProgrammedTiles
    from memlib.tiles.converters import code_limits, convert_currents, input_volts, quantise_input, row_inputs
    from memlib.tiles.input_record import LayerInputs, Record, record_inputs
    from memlib.tiles.passes import window_inputs, window_outputs
    from memlib.tiles.programming import Programmer, program_slices
    from memlib.tiles.readout import Readout
    from memlib.tiles.reads import BlockReads, ConvolutionReads
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
