"""What wires cost to first order: by hand, and against exact solutions where it is small."""

import numpy as np
import pytest
import torch
from nodal_oracle import conductances

from memlib.wires.first_order import lost_share
from memlib.wires.solver import effective_conductance


def test_lost_share_by_hand():
    """Rows of 1 and 2 S, and 3 and 4 S: segments carry 3, 2; 7, 4 along rows, and 1, 4; 2, 6 along columns."""
    g = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)
    assert lost_share(g, r_row=0.01, r_col=0.0).item() == pytest.approx(0.01 * (9 + 4 + 49 + 16) / 10)
    assert lost_share(g, r_row=0.0, r_col=0.01).item() == pytest.approx(0.01 * (1 + 16 + 4 + 36) / 10)
    assert lost_share(torch.zeros(3, 2, 2)).tolist() == [0.0] * 3


@pytest.mark.parametrize(("r_row", "r_col"), [(1.0, 0.0), (0.0, 1.0), (1.0, 2.0)])
def test_lost_share_is_that_of_the_exact_solution_where_it_is_small(r_row, r_col):
    g = torch.from_numpy(conductances(2, 12, 20))
    scale = 1e-4 / lost_share(g, r_row, r_col).max().item()
    r_row, r_col = scale * r_row, scale * r_col
    exact = 1 - effective_conductance(g, r_row=r_row, r_col=r_col).sum((1, 2)) / g.sum((1, 2))
    np.testing.assert_allclose(lost_share(g, r_row, r_col), exact, rtol=1e-3)
