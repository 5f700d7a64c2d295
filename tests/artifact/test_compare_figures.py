"""The comparison of tables must notice what it is there for."""

import pandas as pd
import pytest
from compare_figures import main

TABLE = {
    "checkpoint": ["a", "b"],
    "rows": [32, 64],
    "images": [100, 100],
    "accuracy": [0.5, 0.9],
    "low": [0.4, 0.8],
    "energy": [2e-6, 3.5],
    "at chance": [True, False],
}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({}, 0),
        ({"accuracy": [0.52, 0.9], "low": [0.43, 0.8]}, 0),
        ({"accuracy": [0.53, 0.9]}, 1),
        ({"accuracy": [0.5, float("nan")]}, 1),
        ({"accuracy": ["none", "none"]}, 1),
        ({"low": [0.4, 0.65]}, 1),
        ({"checkpoint": ["a", "c"]}, 1),
        ({"rows": [32, 65]}, 1),
        ({"energy": [2.001e-6, 3.5]}, 0),
        ({"energy": [2.01e-6, 3.5]}, 1),
        ({"at chance": [True, True]}, 1),
        ({"more": [1, 2]}, 1),
    ],
)
def test_what_is_tolerated(tmp_path, change, code):
    """Accuracy within two of 100 images, numbers that are not whole within a thousandth; labels and counts equal."""
    for name, table in (("expected", TABLE), ("found", TABLE | change)):
        (tmp_path / name).mkdir()
        pd.DataFrame(table).to_csv(tmp_path / name / "table.csv", index=False)
    assert main(tmp_path / "expected", tmp_path / "found") == code


def test_tolerances_may_be_anywhere_but_their_labels_may_not(tmp_path):
    """Two images of 100 can make a tolerance endless."""
    for folder, change, code in (("same", {"tolerance": [float("inf"), 1]}, 0), ("other", {"rows": [32, 65]}, 1)):
        for name, table in (
            ("expected", TABLE | {"tolerance": [1, 2]}),
            (folder, TABLE | {"tolerance": [1, 2]} | change),
        ):
            (tmp_path / name).mkdir(exist_ok=True)
            pd.DataFrame(table).to_csv(tmp_path / name / "table.csv", index=False)
        assert main(tmp_path / "expected", tmp_path / folder) == code


SIMULATED = {"digit": [0, 1], "output": [0.1, -0.2], "settled": [9e-8, 8e-8], "difference": [1e-8, 1e-3]}


@pytest.mark.parametrize(
    ("name", "change", "code"),
    [
        ("11_spice_outputs", {"output": [0.1009, -0.2], "settled": [9.4e-8, 8e-8], "difference": [3e-8, 2e-3]}, 0),
        ("11_spice_outputs", {"output": [0.1011, -0.2]}, 1),
        ("11_spice_outputs", {"settled": [9.6e-8, 8e-8]}, 1),
        ("11_spice_outputs", {"digit": [0, 2]}, 1),
        ("05_tile_size", {"settled": [9.4e-8, 8e-8]}, 1),
    ],
)
def test_circuit_simulators_round_otherwise(tmp_path, name, change, code):
    """Voltages within 1 mV, times within a twentieth, in what ngspice makes only."""
    for folder, table in (("expected", SIMULATED), ("found", SIMULATED | change)):
        (tmp_path / folder).mkdir()
        pd.DataFrame(table).to_csv(tmp_path / folder / f"{name}.csv", index=False)
    assert main(tmp_path / "expected", tmp_path / "found") == code


def test_what_ngspice_says_may_be_missing_where_it_is(tmp_path, monkeypatch):
    """All tables of its notebook; those of others not."""
    (tmp_path / "expected").mkdir()
    (tmp_path / "found").mkdir()
    for name in ("11_spice_design", "08_parasitics_spice"):
        pd.DataFrame(TABLE).to_csv(tmp_path / "expected" / f"{name}.csv", index=False)
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert main(tmp_path / "expected", tmp_path / "found") == 0
    pd.DataFrame(TABLE).to_csv(tmp_path / "expected" / "05_tile_size.csv", index=False)
    assert main(tmp_path / "expected", tmp_path / "found") == 1
    (tmp_path / "expected" / "05_tile_size.csv").unlink()
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    assert main(tmp_path / "expected", tmp_path / "found") == 1


def test_missing_tables_are_noticed(tmp_path):
    """No tables at all, or one too few."""
    assert main(tmp_path, tmp_path) == 1
    pd.DataFrame(TABLE).to_csv(tmp_path / "table.csv", index=False)
    (tmp_path / "empty").mkdir()
    assert main(tmp_path, tmp_path / "empty") == 1


def test_what_fits_and_searches_make_may_be_anywhere_but_their_columns_may_not(tmp_path):
    """Other designs may be found; the same ones cost the same, and losses that a formula is fitted to are the same."""
    fit = TABLE | {"loss": [0.1, 0.2], "error": [0.0, 0.0], "formula": [0.1, 0.2], "linear": [0.1, 0.2]}
    cases = (
        ("09_design_space_answer", TABLE, {"rows": [128, 256], "energy": [1, 1]}, 0),
        ("09_design_space_answer", TABLE, {"rows": [32, 256], "energy": [2e-6, 1], "accuracy": [0.1, 0.1]}, 0),
        ("09_design_space_answer", TABLE, {"rows": [32, 256], "energy": [2.1e-6, 1]}, 1),
        ("09_design_space_answer", TABLE, {"more": [1, 2]}, 1),
        ("09_design_space_formula", fit, {"formula": [0.5, 0.6], "loss": [0.11, 0.2]}, 0),
        ("09_design_space_formula", fit, {"loss": [0.2, 0.2]}, 1),
        ("05_tile_size", fit, {"rows": [128, 256]}, 1),
    )
    for number, (name, table, change, code) in enumerate(cases):
        folders = tmp_path / f"expected{number}", tmp_path / f"found{number}"
        for folder, content in zip(folders, (table, table | change), strict=True):
            folder.mkdir()
            pd.DataFrame(content).to_csv(folder / f"{name}.csv", index=False)
        assert main(*folders) == code
