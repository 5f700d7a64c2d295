"""Figures drawn again from their committed tables."""

import json
import shutil

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from memlib.artifact import redraw
from memlib.base.files import project_root
from memlib.studies.drawing import set_style

SMOKE = project_root() / "figures" / "smoke"
NAMES = [path.stem for path in redraw.figures("smoke")]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A root whose figures/smoke has the committed tables, but no picture."""
    monkeypatch.setenv("MEMLIB_ROOT", str(tmp_path))
    target = tmp_path / "figures" / "smoke"
    shutil.copytree(SMOKE, target, ignore=shutil.ignore_patterns("*.png", "*.pdf"))
    with mpl.rc_context():
        set_style()
        yield target


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_figure_drawn_again_is_the_committed_one(name, folder, monkeypatch):
    """All but pixels that another machine's processor rounds otherwise; without a data set, and without the PDF."""
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, path, **o: path.suffix == ".png" and save(self, path, **o))
    monkeypatch.setattr("memlib.zoo.data_sets.load_images", None)
    redraw.redraw(folder / f"{name}.json")
    drawn, committed = (imread(place / f"{name}.png") for place in (folder, SMOKE))
    assert drawn.shape == committed.shape
    assert (np.abs(drawn - committed).max(axis=-1) > 0.1).sum() < 50


@pytest.mark.slow
def test_the_table_decides_what_is_drawn(folder):
    table = folder / "05_tile_size.csv"
    frame = pd.read_csv(table)
    frame.loc[0, ["accuracy", "low", "high"]] = 0.5, 0.4, 0.6
    frame.to_csv(table, index=False)
    redraw.redraw(folder / "05_tile_size.json")
    assert np.abs(imread(folder / "05_tile_size.png") - imread(SMOKE / "05_tile_size.png")).max() > 0.1


@pytest.mark.slow
def test_what_is_missing_is_named(folder, capsys):
    (folder / "05_tile_size.csv").unlink()
    content = json.loads((folder / "04_non_idealities.json").read_text())
    del content["parameters"]["origin"]
    (folder / "04_non_idealities.json").write_text(json.dumps(content))
    for only, culprit in (("05_tile_size", "05_tile_size.csv"), ("04_non_idealities", "origin"), ("99", "'99'")):
        assert redraw.main(["--preset", "smoke", "--only", only]) == 1
        assert culprit in capsys.readouterr().err
    (folder / "05_nothing.json").write_text("{}")
    assert redraw.main(["--preset", "smoke", "--only", "05_"]) == 1
    said = capsys.readouterr()
    assert "05_nothing" in said.err
    assert "drew 0 of 2" in said.out
    frame = pd.read_csv(folder / "12_training.csv").drop(columns="low")
    frame.to_csv(folder / "12_training.csv", index=False)
    with pytest.raises(ValueError, match=r"12_training\.json.*low"):
        redraw.redraw(folder / "12_training.json")
