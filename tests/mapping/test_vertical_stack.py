"""The vertical stack against resistances in series and parallel, and against the nodal solution of its circuit."""

import math

import numpy as np
import pytest
import torch

from memlib import Device
from memlib.mapping.vertical_stack import Stack, write_leakage
from memlib.wires.nodal import solve_array
from memlib.wires.solver import effective_conductance


def test_transistor_carries_the_pillars_current():
    """Without other resistances a pillar is its cells in parallel, in series with its transistor."""
    g = np.array([10e-6, 20e-6, 70e-6])
    stack = Stack(planes=3, pillars=1, r_pillar=0.0, r_select=5e3)
    found = effective_conductance(torch.tensor(g)[:, None], *stack.tile().wires)[:, 0].numpy()
    np.testing.assert_allclose(found, g / (1 + g.sum() * 5e3), rtol=1e-12)
    assert found[0] < g[0] / (1 + g[0] * 5e3)  # a transistor of its own would cost the cell less


def test_stack_is_solved_as_a_circuit():
    """Pillars with segments, planes with drivers, against the solution of all nodes."""
    generator = np.random.default_rng(3)
    g, volts = generator.uniform(1e-6, 1e-4, (5, 4)), generator.uniform(0, 0.3, 5)
    stack = Stack(planes=5, pillars=4, r_plane=100.0, r_pillar=300.0, r_select=2e3)
    expected = solve_array(g, volts, stack.tile().wires).output_currents
    found = volts @ effective_conductance(torch.from_numpy(g), *stack.tile().wires).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_pillars_do_not_see_each_other():
    """Unless planes have a resistance, another pillar's cells change nothing."""
    g = torch.rand(6, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 1e-4
    stack = Stack(planes=6, pillars=3)
    together, alone = (effective_conductance(part, *stack.tile().wires) for part in (g, g[:, :1]))
    np.testing.assert_allclose(together[:, :1], alone, rtol=1e-12)
    shared = stack.replace(r_plane=1e3).tile().wires
    together, alone = (effective_conductance(part, *shared) for part in (g, g[:, :1]))
    assert ((together[:, :1] / alone - 1).abs() > 1e-3).all()


def test_half_selected_cells_leak():
    """Half the current each if linear; far less if their law is steep."""
    stack = Stack(planes=3, pillars=4)
    assert stack.half_selected == 5
    assert write_leakage(stack, Device(), 2.0) == pytest.approx(2.5)
    steep = write_leakage(stack, Device(v0=0.1), 2.0)
    assert steep == pytest.approx(5 * math.sinh(10) / math.sinh(20), rel=1e-9)
    assert write_leakage(stack, Device(v0=0.001), 2.0) == 0  # and no overflow


def test_wrong_values():
    for fields in ({"planes": 0}, {"pillars": 1.5}, {"r_select": -1.0}):
        with pytest.raises(ValueError, match=f"{next(iter(fields))}="):
            Stack(**fields)
    with pytest.raises(ValueError, match="volts"):
        write_leakage(Stack(), Device(), 0)
