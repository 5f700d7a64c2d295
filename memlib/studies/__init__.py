"""The studies behind the notebooks, each an object with its parameters, points, tables, drawings and claims.

Look first at `STUDIES`, which holds all of them by the name of their notebook, and at `Run`, which computes one.
A study of your own is a `Study`; `memlib.studies.s04_non_idealities` is a good example to begin with.
"""

from typing import TYPE_CHECKING

from memlib.base.faces import lazy_face

if TYPE_CHECKING:
    from memlib.studies.drawing import Drawing, set_style
    from memlib.studies.registry import STUDIES, study_of_figure
    from memlib.studies.run import Run, plan_of
    from memlib.studies.study import Study, Sweep, Values, networks, same
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
