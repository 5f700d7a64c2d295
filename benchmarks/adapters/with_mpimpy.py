"""mpimpy: an iteration over word and bit lines, which ends when voltages settle."""

from mpimpy.crossbar.crossbar import hdot

PACKAGES = ["mpimpy"]
LACKS = "products of matrices in NumPy, no layers of networks"


def wires(g, ohm):
    return lambda: lambda volts: hdot(volts, 1 / g, ohm), "crossbar.hdot, one vector after another, float64"
