"""The layers of a torch network that tiles can compute: their shape, their inputs, and copies of the network to change.

Look first at `matrix_layers`, which says what is mapped, and at `Geometry`, which multiplies with any weight.
A layer here knows nothing yet of tiles.
"""

from typing import TYPE_CHECKING

from memlib.base.faces import lazy_face

if TYPE_CHECKING:
    from memlib.layers.classification import correct
    from memlib.layers.geometry import Geometry, MatrixLayer, Size
    from memlib.layers.mappable import UnsupportedLayerError, float_copy, matrix_layers, own_layers
    from memlib.layers.recurrent import unrolled
    from memlib.layers.tracing import call_sizes, calls_of, map_sizes
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
