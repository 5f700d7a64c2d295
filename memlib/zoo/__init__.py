"""Networks, their trained weights and the images to test them with.

Look first at `load_checkpoint`, and at `networks`, where a network is one function.
Nothing here knows of hardware, except that small networks for one notebook each train themselves.
"""

from typing import TYPE_CHECKING

from memlib.base.faces import lazy_face

if TYPE_CHECKING:
    from memlib.zoo.checkpoints import CheckpointError, load_checkpoint, manifest_entry, read_manifest
    from memlib.zoo.data_sets import DataError, Images, load_images, normalise
    from memlib.zoo.networks import NETWORKS, build_network, mac_count, parameter_count
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
