"""Results of sweeps, and runs of studies, that never ran."""

from types import SimpleNamespace

import numpy as np
import pandas as pd

from memlib.evidence.answers import pack
from memlib.evidence.comparisons import Chips


def made_up(points, seeds, accuracy):
    """Results as a sweep returns them; `accuracy(point)` decides how many of the images are right."""
    rows = []
    for point in points:
        for seed in seeds(point):
            hits = np.arange(point["images"]) < round(accuracy(point) * point["images"])
            rows.append({**point, "seed": seed, "accuracy": hits.mean(), "correct": pack(hits)})
    fields = dict.fromkeys(name for point in points for name in point)
    return pd.DataFrame(rows)[[*fields, "seed", "accuracy", "correct"]]


def made_up_run(known=None, sweeps=None, tables=None, **parameters):
    """A run of a study: its parameters, results of its sweeps and contents of its tables by name.

    Args:
        known: what functions of the run give, by function; the others are called.
    """
    run = SimpleNamespace(p=SimpleNamespace(**parameters), sweep=(sweeps or {}).get, table=(tables or {}).get)
    run.chips = lambda name: Chips(run.sweep(name))
    run.once = lambda function: known[function] if function in (known or {}) else function(run)
    return run
