"""The comparison of tables must notice what it is there for."""

import pandas as pd
import pytest

from memlib.artifact.table_agreement import main

TABLE = {
    "checkpoint": ["a", "b"], "rows": [32, 64], "images": [100, 100], "accuracy": [0.5, 0.9], "low": [0.4, 0.8],
    "energy": [2e-6, 3.5], "at chance": [True, False],
}  # fmt: skip
LIMIT = TABLE | {"tolerance": [1, 2]}
SIMULATED = {"digit": [0, 1], "output": [0.1, -0.2], "settled": [9e-8, 8e-8], "difference": [1e-8, 1e-3]}
FIT = TABLE | {"loss": [0.1, 0.2], "error": [0.0, 0.0], "formula": [0.1, 0.2], "linear": [0.1, 0.2]}


def write(folder, name: str, table: dict) -> None:
    folder.mkdir(exist_ok=True)
    pd.DataFrame(table).to_csv(folder / f"{name}.csv", index=False)


@pytest.mark.parametrize(
    ("name", "table", "change", "code"),
    [
        # two images of 100, and a thousandth of what is not whole; labels and counts are equal
        ("05_tile_size", TABLE, {}, 0),
        ("05_tile_size", TABLE, {"accuracy": [0.52, 0.9], "low": [0.43, 0.8]}, 0),
        ("05_tile_size", TABLE, {"accuracy": [0.53, 0.9]}, 1),
        ("05_tile_size", TABLE, {"accuracy": [0.5, float("nan")]}, 1),
        ("05_tile_size", TABLE, {"accuracy": ["none", "none"]}, 1),
        ("05_tile_size", TABLE, {"low": [0.4, 0.65]}, 1),
        ("05_tile_size", TABLE, {"checkpoint": ["a", "c"]}, 1),
        ("05_tile_size", TABLE, {"rows": [32, 65]}, 1),
        ("05_tile_size", TABLE, {"energy": [2.001e-6, 3.5]}, 0),
        ("05_tile_size", TABLE, {"energy": [2.01e-6, 3.5]}, 1),
        ("05_tile_size", TABLE, {"at chance": [True, True]}, 1),
        ("05_tile_size", TABLE, {"more": [1, 2]}, 1),
        # two images can make a tolerance endless
        ("05_tile_size", LIMIT, {"tolerance": [float("inf"), 1]}, 0),
        ("05_tile_size", LIMIT, {"rows": [32, 65]}, 1),
        # voltages of circuit simulators within 1 mV, times within a twentieth, in what ngspice makes only
        ("11_spice_outputs", SIMULATED, {"output": [0.1009, -0.2], "settled": [9.4e-8, 8e-8]}, 0),
        ("11_spice_outputs", SIMULATED, {"difference": [3e-8, 2e-3]}, 0),
        ("11_spice_outputs", SIMULATED, {"output": [0.1011, -0.2]}, 1),
        ("11_spice_outputs", SIMULATED, {"settled": [9.6e-8, 8e-8]}, 1),
        ("11_spice_outputs", SIMULATED, {"digit": [0, 2]}, 1),
        ("05_tile_size", SIMULATED, {"settled": [9.4e-8, 8e-8]}, 1),
        # searches may find other designs, but the same ones cost the same; fits may differ, but not what is fitted
        ("09_design_space_answer", TABLE, {"rows": [128, 256], "energy": [1, 1]}, 0),
        ("09_design_space_answer", TABLE, {"rows": [32, 256], "energy": [2e-6, 1], "accuracy": [0.1, 0.1]}, 0),
        ("09_design_space_answer", TABLE, {"rows": [32, 256], "energy": [2.1e-6, 1]}, 1),
        ("09_design_space_answer", TABLE, {"more": [1, 2]}, 1),
        ("09_design_space_formula", FIT, {"formula": [0.5, 0.6], "loss": [0.11, 0.2]}, 0),
        ("09_design_space_formula", FIT, {"loss": [0.2, 0.2]}, 1),
        ("05_tile_size", FIT, {"rows": [128, 256]}, 1),
    ],
)
def test_what_is_tolerated(tmp_path, name, table, change, code):
    write(tmp_path / "expected", name, table)
    write(tmp_path / "found", name, table | change)
    assert main(tmp_path / "expected", tmp_path / "found") == code


def test_what_is_missing(tmp_path, monkeypatch):
    """No tables at all, or one too few, unless ngspice makes it and is not installed."""
    expected, found = tmp_path / "expected", tmp_path / "found"
    assert main(expected, found) == 1
    for name in ("11_spice_design", "08_parasitics_spice"):
        write(expected, name, TABLE)
    for program, code in ((None, 0), ("/usr/bin/ngspice", 1)):
        monkeypatch.setattr("shutil.which", lambda _, program=program: program)
        assert main(expected, found) == code
    monkeypatch.setattr("shutil.which", lambda _: None)
    write(expected, "05_tile_size", TABLE)
    assert main(expected, found) == 1
