import hashlib
import shutil

import pytest

from memlib.base import provenance

STUDY = "memlib.studies.s05_tile_size"


def names(module: str) -> set[str]:
    return {path.relative_to(provenance.PACKAGE).as_posix() for path in provenance.reached(module)}


def test_a_study_reaches_what_it_computes_with_and_no_other_study():
    found = names(STUDY)
    assert {
        "cells/device.py",
        "chip/layer.py",
        "studies/shared/trained_networks.py",
        "studies/s05_tile_size.py",
    } <= found
    assert not found & {
        "studies/s06_power/study.py",
        "artifact/runner.py",
        "studies/registry.py",
        "exploration/multi_objective.py",
    }


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


def test_the_hash_changes_with_every_source(tmp_path):
    """That of the whole package, by which processes know each other."""
    copies = [tmp_path / str(i) / "memlib" for i in range(2)]
    for copy in copies:
        shutil.copytree(provenance.PACKAGE, copy, ignore=shutil.ignore_patterns("weights", "__pycache__"))
    (copies[1] / "cells" / "device.py").write_text("# something else")
    assert provenance.source_hash(copies[0]) == provenance.source_hash() != provenance.source_hash(copies[1])


def test_a_figure_names_the_sources_that_it_depends_on():
    """Each with a hash of its own, so that an edit elsewhere changes nothing."""
    sources = provenance.source_hashes([STUDY])
    assert set(sources) == names(STUDY)
    path = provenance.PACKAGE / "cells" / "device.py"
    assert sources["cells/device.py"] == hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    assert provenance.source_hashes(["example_study"]) == {}


def test_where_a_source_stands_counts(tmp_path):
    packages = [tmp_path / str(i) / "memlib" for i in range(2)]
    for package, name in zip(packages, ("first", "second"), strict=True):
        package.mkdir(parents=True)
        (package / f"{name}.py").write_text("same")
    assert provenance.source_hash(packages[0]) != provenance.source_hash(packages[1])
