"""A network as one analog circuit: crossbars and op-amps all the way, without converters between layers.

Look first at `build_chip`, which makes a chip of a network, then at `AnalogModel` and `operating_points`, its solvers.
It shares cells, wires and programming with tiled chips, and knows nothing of how those read.
"""

from typing import TYPE_CHECKING

from memlib.base.faces import lazy_face

if TYPE_CHECKING:
    from memlib.circuits.circuit import Amplifier, AnalogChip, Circuit, OperatingPoints, build_chip
    from memlib.circuits.circuit_model import AnalogModel
    from memlib.circuits.circuit_netlist import StepResponse, operating_points, step_response
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
