"""The packed order: its rectangles of outputs, and a whole network in it."""

from torch import nn

from memlib import Hardware, Mapping, Tile, footprint
from memlib.layers.geometry import Geometry
from memlib.mapping.packing import rectangle
from memlib.mapping.window import Window
from memlib.zoo.networks import build_network


def hardware(rows: int, cols: int, scheme: str = "differential", converter: str = "pair", **mapping) -> Hardware:
    return Hardware(tile=Tile(rows=rows, cols=cols, converter=converter), mapping=Mapping(scheme=scheme, **mapping))


CONVOLUTION = nn.Conv2d(16, 16, 3, padding=1)


def test_rectangle_of_the_packed_order():
    """Rectangles of 2x4 outputs by 16 channels; of those with equal tiles, the one with the fewest rows."""
    window = Window(Geometry.of(CONVOLUTION), (32, 32))
    assert rectangle(window, window.alive((32, 32)), 128, 128) == (2, 4, 16)
    window = Window(Geometry.of(nn.Conv2d(1, 4, 1)), (2, 2))  # 1 row a tile: 1x1x4 has 4 tiles, all others 16/c or more
    assert rectangle(window, window.alive((2, 2)), 1, 4) == (1, 1, 4)


def test_resnet20_packed():
    """The whole network in the sparse layout: 77.0 M cell pairs allocated, 37.0 M of them used."""
    table = footprint(build_network("resnet20"), (3, 32, 32), hardware(128, 128, layout="sparse"))
    assert round(table["cells_allocated"].sum() / 2e6, 1) == 77.0
    assert round(table["cells_used"].sum() / 2e6, 1) == 37.0
    assert (table["passes"] == 1).all()
