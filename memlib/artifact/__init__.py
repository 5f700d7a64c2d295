"""The project as a reproducible artifact: it runs the notebooks, draws figures again, and writes the documents.

Look first at `run_notebook`, on which `run_all.sh` builds, and at `figures`, which the module `redraw` draws again.
`render` fills the numbers of README.md and figures/README.md in from the committed tables.
"""

from typing import TYPE_CHECKING

from memlib.base.faces import lazy_face

if TYPE_CHECKING:
    from memlib.artifact.notebooks import RunError, checked_parameters, study_of
    from memlib.artifact.readme_tables import Results, render
    from memlib.artifact.redraw import figures
    from memlib.artifact.report import write_report
    from memlib.artifact.runner import run_notebook
    from memlib.artifact.usage import Usage, measured
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
