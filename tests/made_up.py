"""Results of sweeps that never ran."""

import numpy as np
import pandas as pd

from memlib.evidence.answers import pack


def made_up(points, seeds, accuracy):
    """Results as a sweep returns them; `accuracy(point)` decides how many of the images are right."""
    rows = []
    for point in points:
        for seed in seeds(point):
            hits = np.arange(point["images"]) < round(accuracy(point) * point["images"])
            rows.append({**point, "seed": seed, "accuracy": hits.mean(), "correct": pack(hits)})
    fields = dict.fromkeys(name for point in points for name in point)
    return pd.DataFrame(rows)[[*fields, "seed", "accuracy", "correct"]]
