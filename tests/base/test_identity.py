import json
import shutil

import pytest
from matplotlib.figure import Figure

from memlib.artifact import figure_files
from memlib.artifact.figure_files import save, study_of
from memlib.base import provenance
from memlib.base.files import project_root

STUDY = "memlib.studies.s05_tile_size"


def names(module: str) -> set[str]:
    return {path.relative_to(provenance.PACKAGE).as_posix() for path in provenance.reached(module)}


def test_a_study_reaches_what_it_computes_with_and_no_other_study():
    found = names(STUDY)
    assert {"device.py", "reads.py", "statistics.py", "studies/trained.py", "studies/tile_size.py"} <= found
    assert not found & {"studies/capacity.py", "runner.py", "presets.py", "search.py"}


def test_imports_of_every_form_are_followed(tmp_path):
    package = tmp_path / "memlib"
    package.mkdir()
    sources = {
        "__init__": "from memlib.inside import name",
        "start": "import memlib.plain\nfrom memlib import submodule\ndef f():\n    from memlib.late import name",
        "plain": "import numpy",
        "submodule": "from memlib.start import f",
        "late": "",
        "inside": "",
        "other": "import memlib",
    }
    for name, text in sources.items():
        (package / f"{name}.py").write_text(text)

    def reached(module: str) -> set[str]:
        return {path.stem for path in provenance.reached(module, package)}

    assert reached("memlib.start") == {"start", "plain", "submodule", "late"}
    assert reached("memlib.other") == {"other", "__init__", "inside"}
    with pytest.raises(ValueError, match=r"module='memlib\.none'"):
        reached("memlib.none")


def test_the_hash_changes_with_what_is_reached_and_with_nothing_else(tmp_path):
    copies = [tmp_path / str(i) / "memlib" for i in range(3)]
    for copy in copies:
        shutil.copytree(provenance.PACKAGE, copy, ignore=shutil.ignore_patterns("weights", "__pycache__"))
    same, other, reached = copies
    (other / "studies" / "capacity.py").write_text("# something else")
    (reached / "device.py").write_text("# something else")
    assert provenance.source_hash(STUDY, same) == provenance.source_hash(STUDY)
    assert provenance.source_hash(STUDY, other) == provenance.source_hash(STUDY, same)
    assert provenance.source_hash(STUDY, reached) != provenance.source_hash(STUDY, same)
    assert provenance.source_hash(None, other) != provenance.source_hash(None, same)


def test_every_figure_belongs_to_a_study():
    found = {path.stem: study_of(path.stem) for path in (project_root() / "figures" / "smoke").glob("[0-9]*.json")}
    assert found["06_power_trade"] == "memlib.studies.s06_power"
    assert found["01_devices_currents"] == "memlib.studies.s01_devices.currents"
    assert None not in found.values()
    assert study_of("mine") is None


def test_a_figure_carries_the_hash_of_its_study(tmp_path, monkeypatch):
    monkeypatch.setenv("MEMLIB_ROOT", str(tmp_path))
    save(Figure(), "05_tile_size_footprint", "test", {})
    written = json.loads((tmp_path / "figures" / "test" / "05_tile_size_footprint.json").read_text())
    assert written["sources"] == provenance.source_hash(STUDY) != provenance.source_hash()


def test_of_two_studies_the_longer_name_counts(tmp_path, monkeypatch):
    (tmp_path / "studies").mkdir()
    for name in ("power", "power_trade"):
        (tmp_path / "studies" / f"{name}.py").touch()
    monkeypatch.setattr(figure_files, "PACKAGE", tmp_path)
    assert study_of("06_power_trade_more") == "memlib.studies.power_trade"
    assert study_of("06_power_tr") == "memlib.studies.s06_power"


def test_where_a_source_stands_counts(tmp_path):
    packages = [tmp_path / str(i) / "memlib" for i in range(2)]
    for package, name in zip(packages, ("first", "second"), strict=True):
        package.mkdir(parents=True)
        (package / f"{name}.py").write_text("same")
    assert provenance.source_hash(None, packages[0]) != provenance.source_hash(None, packages[1])
