"""badcrossbar (Joksas and Mehonic 2020): exact nodal analysis."""

import logging

import badcrossbar

PACKAGES = ["badcrossbar"]
LACKS = "no simulator of networks"


def wires(g, ohm):
    logging.disable()

    def solve(volts):
        found = badcrossbar.compute(volts.T, 1 / g, ohm, node_voltages=False, all_currents=False)
        return found.currents.output

    return lambda: solve, "output currents only; nothing is kept from one call to the next, float64"
