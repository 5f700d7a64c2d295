"""What every other package needs: checks of arguments, frozen configurations, named random streams, files.

Look first at `random_streams`: every random draw belongs to a name, never to an order of calls.
Nothing here knows of cells, tiles or networks.
"""

from typing import TYPE_CHECKING

from memlib.base.faces import lazy_face

if TYPE_CHECKING:
    from memlib.base.checks import fail
    from memlib.base.configuration import Config, config
    from memlib.base.files import project_root, replacing, write_whole
    from memlib.base.progress_bar import note, progress
    from memlib.base.provenance import fingerprint, reached, source_hash, versions
    from memlib.base.random_streams import generator, normals, stream_seed, uniforms
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
