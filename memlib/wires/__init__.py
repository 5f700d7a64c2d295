"""Resistive wires: the currents of an array whose rows, columns, drivers and transistors have a resistance.

Look first at `Wires` and `effective_conductance`; `solve_array` and `array_currents` are independent solvers beside it.
Arrays here are conductances and voltages: no weights, no converters, no layers.
"""

from typing import TYPE_CHECKING

from memlib.base.faces import lazy_face

if TYPE_CHECKING:
    from memlib.wires.first_order import lost_share
    from memlib.wires.ngspice import array_currents, simulate
    from memlib.wires.nodal import ArraySolution, solve_array
    from memlib.wires.resistances import Wires
    from memlib.wires.solver import Multiport, effective_conductance, input_admittance, solve
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
