"""How much of its current an array loses to its wires, to first order: what rules of thumb need, not simulations."""

import torch
from torch import Tensor


def lost_share(g: Tensor, r_row: float = 1.0, r_col: float = 1.0) -> Tensor:
    """The share of an array's current that its wires cost, to first order in their resistance, all rows at one voltage.

    A cell loses the drops of all segments on its way, and so the array the power that its segments dissipate:
    sum(r i^2) over segments by sum(g), with i the currents that cells would draw at 1 V without wires. Exact as the
    share goes to 0, and proportional to the resistances.

    Args:
        g: (..., rows, cols) S, cells behind their transistors.
        r_row, r_col: ohm, of a segment.

    Returns:
        (...), 0 without cells.
    """
    before, after = g.flip(-1).cumsum(-1), g.cumsum(-2)  # through the segments before cells of a row, after of a column
    dissipated = r_row * before.square().sum((-2, -1)) + r_col * after.square().sum((-2, -1))
    return dissipated / g.sum((-2, -1)).clamp(min=torch.finfo(g.dtype).tiny)
