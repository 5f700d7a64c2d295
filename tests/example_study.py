"""The smallest study: a parameter of each kind, a table, a figure and a claim, and no points."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from memlib.evidence.claims import Claim, Statement, exactly
from memlib.studies.drawing import Drawing
from memlib.studies.run import Run
from memlib.studies.study import Study, Values, same


def _table(run: Run) -> pd.DataFrame:
    return pd.DataFrame({"size": run.p.sizes, "scaled": [run.p.scale * size for size in run.p.sizes]})


def _plot(frame: pd.DataFrame, scale: float) -> Figure:
    figure, axis = plt.subplots()
    axis.plot(frame["size"], frame["scaled"], label=f"{scale:g}")
    return figure


def _claims(run: Run) -> list[Claim]:
    return [exactly(Statement("small", "the scale is below 1", "scale"), run.p.scale, run.p.scale < 1)]


STUDY = Study(
    name="07_example",
    parameters={"scale": same(1.0), "sizes": Values([1, 2, 3], [1, 2])},
    tables={"07_example": _table},
    drawings={"07_example": Drawing(_plot, ("07_example",), ("scale",))},
    claims={"07_example": _claims},
)
