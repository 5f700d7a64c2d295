"""The page of explore.ipynb, where sliders choose a design and its accuracy, costs and tiles are drawn at once.

Look first at `Design`, which holds all that the sliders choose, and at `shown`, which has the results of a design.
`Page` is the widget around them. It shows the same numbers as memlib called directly.
"""

from typing import TYPE_CHECKING

from memlib.base.faces import lazy_face

if TYPE_CHECKING:
    from memlib.explorer.page import Page
    from memlib.explorer.pictures import Number, numbers
    from memlib.explorer.views import Design, TileMap, View, shown, stages
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
