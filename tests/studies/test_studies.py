"""Every study as an object: its notebook, its points, its tables, figures and claims belong together."""

import ast
import json

import pytest

from memlib.artifact.notebooks import declared_parameters, notebooks
from memlib.base.files import project_root
from memlib.evidence.claims import VERDICTS, claim_of
from memlib.studies import run
from memlib.studies.registry import MODULES, STUDIES, study_of_figure
from memlib.studies.run import plan_of
from memlib.studies.study import PRESETS, Seeds, Study
from memlib.sweeps.points import Task, tasks

NAMES = list(STUDIES)


def cells_of(name: str) -> list[dict]:
    (path,) = notebooks(name)
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


def used_by(name: str) -> dict[str, set[str]]:
    """What a notebook asks its run for: method -> names."""
    sources = "\n".join("".join(cell["source"]) for cell in cells_of(name))
    asked: dict[str, set[str]] = {"sweep": set(), "table": set(), "figure": set(), "claims": set()}
    for node in ast.walk(ast.parse(sources)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in asked:
            asked[node.func.attr] |= {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
    return asked


def test_every_notebook_has_a_study_and_the_other_way_round():
    assert [path.stem for path in notebooks(None)] == NAMES
    assert all(STUDIES[name].name == name for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_parameters_cell_is_the_studys_smoke_preset(name):
    """Same names, order, values and types; nothing at smoke size is larger than at full size."""
    study = STUDIES[name]
    (path,) = notebooks(name)
    expected = {"preset": "smoke"} | study.preset("smoke")
    assert list(declared_parameters(path).items()) == list(expected.items())
    for parameter, values in study.parameters.items():
        assert type(values.smoke) is type(values.paper), parameter
        if not isinstance(values.smoke, str):
            small, full = (len(v) if isinstance(v, list) else v for v in (values.smoke, values.paper))
            assert small <= full, parameter


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_asks_for_what_its_study_has(name):
    """And for every figure, so that a reader sees each; the last cell writes what is left."""
    study, asked = STUDIES[name], used_by(name)
    assert asked["figure"] == set(study.drawings)
    assert asked["table"] <= set(study.tables)
    assert asked["claims"] <= set(study.claims) <= set(study.drawings)
    assert asked["sweep"] <= set(study.sweeps(study.namespace(study.preset("smoke"))))
    assert "".join(cells_of(name)[-1]["source"]) == "run.finish()"


#: Chips of the smoke preset, without those that follow from results.
CHIPS = {
    "04_non_idealities": 136, "05_tile_size": 316, "06_power": 24, "07_capacity": 232, "08_parasitics": 64,
    "09_design_space": 110, "10_retention": 106, "11_spice": 133, "12_training": 194, "13_memtorch": 78,
}  # fmt: skip


def chips_of(study: Study, points: list, seeds: Seeds) -> dict[str, Task]:
    return tasks(points, study.evaluate, seeds if callable(seeds) else lambda _: seeds)


@pytest.mark.parametrize("name", CHIPS)
def test_the_command_line_evaluates_the_points_of_the_notebook(name, monkeypatch):
    """The same chips, kept in the same store; how many there are at smoke size stands here."""
    study, asked = STUDIES[name], []
    parameters = {"preset": "smoke"} | study.preset("smoke")
    plan, notebook = plan_of(study, parameters), run.Run(study, parameters)

    def sweep(points, evaluate, store, seeds, jobs):
        """What the notebook asks for, without an answer."""
        assert (evaluate, store) == (plan.evaluate, plan.store)
        asked.append((points, seeds))

    monkeypatch.setattr(run, "sweep", sweep)
    for part in study.sweeps(study.namespace(parameters)):
        notebook.sweep(part)
    chips = [list(chips_of(study, *part)) for part in asked]
    assert chips == [list(chips_of(study, *part)) for part in plan.parts]
    assert len({chip for part in chips for chip in part}) == CHIPS[name]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("preset", PRESETS)
def test_committed_figures_are_those_of_the_study(name, preset):
    """Every table and figure is there and no other; no two claims have one id."""
    folder, study = project_root() / "figures" / preset, STUDIES[name]
    assert {path.stem for path in folder.glob(f"{name[:3]}*.json")} == set(study.drawings)
    tables = {path.stem for path in folder.glob(f"{name[:3]}*.csv")}
    assert tables == set(study.tables)
    claims = []
    for figure in study.drawings:
        content = json.loads((folder / f"{figure}.json").read_text())
        assert figure in study.claims or not content["claims"]  # there may be too few networks for some
        module = MODULES[name].removeprefix("memlib.").replace(".", "/")
        assert {f"{module}.py", "studies/run.py", "studies/figure_files.py"} <= set(content["sources"])
        frozen = "frozen at e16641c" in str(content["parameters"].get("origin"))
        assert frozen == ("frozen" in content)
        assert frozen or set(study.parameters) <= set(content["parameters"])
        claims += map(claim_of, content["claims"])
    ids = [claim.statement.id for claim in claims]
    assert len(ids) == len(set(ids))
    for claim in claims:
        assert claim.verdict in VERDICTS
        assert claim.statement.subject
        if claim.statement.headline:
            study_of_figure(claim.statement.headline)


@pytest.mark.parametrize(
    ("name", "given", "culprit"),
    [
        ("01_devices", {"tolerances": [0.01, 0.0]}, "tolerances"),
        ("02_mapping", {"tile_sizes": [0]}, "tile_sizes"),
        ("03_networks", {"training_seeds": [0]}, "training_seeds"),
        ("13_memtorch", {"case_windows": 1}, "case_windows"),
        ("05_tile_size", {"tile_rows": [0]}, "tile_rows"),
        ("05_tile_size", {"images": 50, "claim_seeds": 1}, "claim_seeds"),
        ("04_non_idealities", {"claim_effects": ["wires"]}, "claim_effects"),
        ("09_design_space", {"wired_ohms": [-1.0]}, "wired_ohms"),
    ],
)
def test_an_error_names_the_parameter_that_was_given(name, given, culprit):
    """Not the field of a configuration that it becomes."""
    study = STUDIES[name]
    parameters = {"preset": "mine"} | study.preset("smoke") | given
    with pytest.raises(ValueError, match=rf"^{name}: {culprit}="):
        study.check(parameters, given)
