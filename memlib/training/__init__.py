"""Training of the networks in the zoo, with or without the hardware in the loop.

Look first at `RECIPES`: every training is one entry, and `python -m memlib.training NAME` runs it.
Training sees cells and converters, but knows nothing of tiles, cost or sweeps.
"""

from typing import TYPE_CHECKING

from memlib.base.faces import lazy_face

if TYPE_CHECKING:
    from memlib.training.binary import binarise
    from memlib.training.hardware_aware import on_hardware
    from memlib.training.pruning import make_permanent, prune_model
    from memlib.training.recipes import RECIPES, Recipe
    from memlib.training.trainer import digital_accuracy, train
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
