"""What chips take: memory, and time where wires are solved."""

import pytest
from torch import nn

from memlib import Hardware, Mapping, Tile, map_network
from memlib.chip.resources import wire_seconds
from memlib.mapping.plan import plan_chip
from memlib.wires.solver import estimated_seconds


def test_too_large_for_the_memory(monkeypatch):
    """Tiles that would not fit are refused before they are made, with the estimate and what to change."""
    monkeypatch.setattr("memlib.chip.resources.memory_limit", lambda: 50_000_000)
    monkeypatch.setattr("memlib.chip.resources.BLOCKS", 0)
    layer, off = nn.Conv2d(16, 16, 3, padding=1), Tile(dac_bits=None, adc_bits=None)
    sparse = Hardware(tile=off, mapping=Mapping(layout="sparse"))
    with pytest.raises(ValueError, match=r"need about 0\.1 GB.*choose layout='dense'"):
        map_network(layer, sparse, input_shape=(16, 32, 32))
    map_network(layer, sparse, input_shape=(16, 8, 8))


def test_long_solutions_of_wires_are_announced(monkeypatch, capsys):
    """With the number of tiles."""
    layer = nn.Linear(20, 6)
    hardware = Hardware(tile=Tile(rows=8, cols=4, dac_bits=None, adc_bits=None, r_row=1.0))
    assert wire_seconds(plan_chip(layer, hardware)) == (12, pytest.approx(12 * estimated_seconds(8, 4)))
    monkeypatch.setattr("memlib.chip.network.wire_seconds", lambda plan: (12, 600.0))
    map_network(layer, hardware)
    assert "12 tiles with wires: about 10 minutes a chip" in capsys.readouterr().err
