"""Compare tables within what another processor may change. As a command, those of two folders of figures:

    python -m memlib.artifact.table_agreement EXPECTED_FOLDER FOUND_FOLDER

Accuracies, and rates of detection, may differ by two images, since the rounding of converters amplifies the last digits
of different processors, and the ends of their intervals by 0.1. Tolerances and lifetimes follow from accuracies and are
not compared: two images may move them anywhere. Nor is what follows from a fit or a search, which an image more may
lead elsewhere: of those tables, only the columns are compared, and the costs of the designs that both have. Other
numbers that are not whole may differ by a thousandth; voltages that ngspice found by 1 mV, times that it found, and the
energy until then, by a twentieth, and how far it is from a model is not compared, since versions round otherwise. What
ngspice says is missing where it is not installed. Everything else must be equal.
"""

import shutil
import sys
from collections.abc import Collection
from pathlib import Path

import pandas as pd

#: Tables that searches and fits make.
LED = {
    f"09_design_space{part}"
    for part in ("", *(f"_{name}" for name in ("answer", "checked", "coefficients", "errors", "networks", "search")))
}
LED |= {"09_design_space_sensitivity", "09_design_space_table"}
#: What tells designs from each other, beside windows and trainings.
DESIGN = [
    *("checkpoint", "technology", "device", "r_wire", "layout", "rows", "dac_bits", "adc_bits", "unused"),
    "recalibration",
]
COSTS = ("energy", "latency", "area")
#: Columns that count images.
RATES = {"accuracy", "rate", "loss", "gain"}
#: Columns that fits make, and what follows from when a network has lost so much.
FITTED = {"error", "formula", "linear"}
LASTING = {"keeps_until", "failed_at"}
#: Columns of differences by rounding.
ROUNDED = {"parasitics", "ngspice"}
#: Absolute and relative tolerances of columns that ngspice makes.
SIMULATED = {"output": (1e-3, 0), "settled": (0, 0.05), "decided": (0, 0.05)}
SIMULATED |= {"energy": (0, 0.05), "product_energy": (0, 0.05), "difference": (1, 0)}


def differences(name: str, a: pd.DataFrame, b: pd.DataFrame, led: Collection[str] = LED) -> list[str]:
    """Compare the expected table of a name with the one that was found, and return each difference in words.

    Args:
        led: names of tables whose costs alone are compared.
    """
    costs_only = name in led and len(a) and len(b)
    if list(a.columns) != list(b.columns) or (a.shape != b.shape and not costs_only):
        return [f"{name}: {a.shape} table of {list(a.columns)} expected, {b.shape} of {list(b.columns)} found"]
    if costs_only:
        return _cost_differences(name, a, b)
    ignored = _ignored({*a.columns})
    result, compared = [], [column for column in a.columns if column not in ignored]
    for column in compared:
        numeric = all(pd.api.types.is_numeric_dtype(c) and c.dtype != bool for c in (a[column], b[column]))
        equal = (a[column] == b[column]) | (a[column].isna() & b[column].isna())
        if numeric:
            fraction = 1e-3 * a[column].abs() if pd.api.types.is_float_dtype(a[column]) else 0
            images = 2 / a.get("images", 1) + 1e-5
            tolerance = 0.1 if column in ("low", "high") else images if column in RATES else fraction
            if "_spice" in name and column in SIMULATED:
                absolute, relative = SIMULATED[column]
                tolerance = absolute + relative * a[column].abs()
            equal |= (a[column] - b[column]).abs() <= tolerance
        wrong = ~equal
        result += [f"{name}: row {i}, {column}: {a[column][i]} expected, {b[column][i]} found" for i in a[wrong].index]
    return result


def _ignored(columns: set[str]) -> set[str]:
    """Columns that two images may move anywhere."""
    if columns >= FITTED:
        return FITTED
    if columns >= ROUNDED:
        return ROUNDED
    if "tolerance" in columns:
        return {"tolerance", "low", "high"}
    return LASTING if columns >= LASTING else set()


def _cost_differences(name: str, a: pd.DataFrame, b: pd.DataFrame) -> list[str]:
    """What differs by more than a thousandth in the costs of the same designs."""
    keys = [column for column in a if column in DESIGN or column.startswith(("window ", "training "))]
    costs = [column for column in a if column.endswith(COSTS)]
    if not keys or not costs:
        return []
    a, b = (t.dropna(subset=costs).fillna(dict.fromkeys(keys, "none")).drop_duplicates(keys) for t in (a, b))
    both, result = a.merge(b, on=keys, suffixes=("", " found")), []
    for cost in costs:
        wrong = both[(both[cost] - both[f"{cost} found"]).abs() > 1e-3 * both[cost]]
        result += [f"{name}: {cost} of {dict(row[keys])}: another" for _, row in wrong.iterrows()]
    return result


def main(expected: Path, found: Path) -> int:
    """Compare all tables of two folders; returns the exit code."""
    tables = sorted(expected.glob("*.csv"))
    problems = [] if tables else [f"{expected}: holds no tables"]
    for table in tables:
        other = found / table.name
        if "_spice" in table.stem and not other.exists() and shutil.which("ngspice") is None:
            continue
        if other.exists():
            problems += differences(table.stem, pd.read_csv(table), pd.read_csv(other))
        else:
            problems.append(f"{other}: missing")
    print("\n".join(problems) or f"{len(tables)} tables agree with {expected}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
