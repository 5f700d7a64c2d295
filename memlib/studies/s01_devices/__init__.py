"""How near is a cell to the conductance that it was asked for?

Distributions after programming, currents, ageing, switching, and the error that write-verify leaves.
"""
