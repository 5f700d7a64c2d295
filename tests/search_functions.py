"""A made-up design space whose truth is known, for the tests of searches."""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from memlib.evidence.answers import pack
from memlib.exploration.space import Axis, Space

BITS = [2, 3, 4, 5, 6, 7, 8]
SPACE = Space(
    {
        "layout": ["dense", "window", "sparse"],
        "rows": [32, 64, 128, 256, 512],
        "dac_bits": BITS,
        "adc_bits": BITS,
        "window": Axis([1, 2, 4, 8], when={"layout": ["window"]}),
    }
)
OBJECTIVES = {"accuracy": "max", "energy": "min", "area": "min"}


def truth(point: dict[str, Any]) -> dict[str, float]:
    """Accuracy rises with bits, energy doubles with DAC bits, area falls with rows and grows with what is copied."""
    copies = {"dense": 1, "sparse": 64}.get(point["layout"]) or point["window"] ** 2
    noise = 2.0 ** -point["adc_bits"] * (point["rows"] / 128) ** 0.5 + 0.5 * 2.0 ** -point["dac_bits"]
    accuracy = 0.9 / (1 + (noise / 0.1) ** 2)
    energy = (2.0 ** point["dac_bits"] + 40 * 128 / point["rows"] + 2 * point["adc_bits"]) / copies**0.3
    return {"accuracy": accuracy, "energy": energy, "area": copies * (1 + 64 / point["rows"] + point["rows"] / 512)}


def evaluate(point: dict[str, Any], seed: int) -> dict[str, Any]:
    """The truth, with the answers of one chip to so many images; calls are counted in a file, which may forbid them."""
    if "SEARCH_LOG" in os.environ:
        log = Path(os.environ["SEARCH_LOG"])
        with log.open("a") as file:
            file.write(f"{sorted(point.items())} {seed}\n")
        if len(log.read_text().splitlines()) > int(os.environ.get("SEARCH_CALLS", 10**9)):
            raise KeyboardInterrupt
    if point.get("broken"):
        raise RuntimeError("broken")
    found = truth(point)
    difficulty = np.random.default_rng(0).random(point["images"])
    hits = difficulty < found["accuracy"] + chip_error(seed)
    return {**found, "accuracy": float(hits.mean()), "correct": pack(hits)}


def chip_error(seed: int) -> float:
    """What a chip's accuracy is off, the same for all designs."""
    return np.random.default_rng([seed, 1]).normal(0, 0.01)


def exact(point: dict[str, Any], seed: int) -> dict[str, Any]:
    return truth(point)


def cubic(point: dict[str, Any], seed: int) -> dict[str, Any]:
    """Best in the middle of what is most expensive."""
    return {"accuracy": 1 / (1 + (point["a"] - 2) ** 2 + (point["b"] - 2) ** 2), "energy": point["a"] + point["b"]}


def make_point(design: dict[str, Any], images: int) -> dict[str, Any]:
    return {**design, "images": images}


def qualities(designs: list[dict[str, Any]]) -> np.ndarray:
    """(designs, objectives), costs as logarithms."""
    rows = [truth(design) for design in designs]
    return np.array([[row["accuracy"], math.log(row["energy"]), math.log(row["area"])] for row in rows])
