"""A run of a study: the same study at some parameters, with everything computed once and kept.

run = Run(STUDIES["05_tile_size"], globals())    # in a notebook, after its parameters cell
run.table("05_tile_size")                        # evaluates what is missing, writes the csv, shows it
run.figure("05_tile_size")                       # draws it from its tables
run.claims("05_tile_size")                       # says what was confirmed
run.finish()                                     # writes what is still missing, and every figure's provenance
"""

import shutil
from collections.abc import Callable, Mapping as MappingType
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from memlib.base.files import project_root
from memlib.evidence.claims import Claim
from memlib.evidence.comparisons import Chips, Labelled, tidy
from memlib.studies.figure_files import save_picture, save_provenance, save_table
from memlib.studies.study import Study, Sweep
from memlib.sweeps.engine import sweep
from memlib.sweeps.plan_file import Plan

T = TypeVar("T")


def store_of(name: str, preset: str) -> Path:
    """The file in which a notebook keeps its points."""
    return project_root() / "results" / preset / f"{name}.sqlite"


def plan_of(study: Study, parameters: MappingType[str, Any]) -> Plan:
    """All points of a study that do not depend on results, as its notebook evaluates them.

    Args:
        parameters: `preset` and all of the study's.

    Raises:
        ValueError: if the study evaluates no points.
    """
    if study.evaluate is None:
        raise ValueError(f"{study.name}: evaluates no points")
    sweeps = study.sweeps(study.namespace(parameters)).values()
    return Plan(
        tuple((part.points, part.seeds) for part in sweeps), study.evaluate, store_of(study.name, parameters["preset"])
    )


class Run:
    """One study at some parameters.

    Args:
        parameters: `preset`, the name of the folder in figures/ and results/, and all parameters of the study; more
            names do no harm, so a notebook may pass its `globals()`.

    Raises:
        ValueError: for parameters that make no points.
    """

    def __init__(self, study: Study, parameters: MappingType[str, Any]) -> None:
        self.study, self.preset, self.p = study, str(parameters["preset"]), study.namespace(parameters)
        study.check(parameters)
        self._sweeps = study.sweeps(self.p)
        self._kept: dict[Any, Any] = {}
        from memlib.studies.drawing import set_style  # here, so that evaluating points needs no library of figures

        set_style()

    @property
    def store(self) -> Path:
        """The file of finished points."""
        return store_of(self.study.name, self.preset)

    def sweep(self, name: str) -> pd.DataFrame:
        """The results of the study's sweep of this name, a row per point and seed."""
        return self._once(("sweep", name), lambda: self.evaluate(self._sweeps[name]))

    def evaluate(self, points: Sweep) -> pd.DataFrame:
        """The results of points that follow from earlier results; what is finished is not evaluated again."""
        assert self.study.evaluate is not None  # as it has points
        jobs = 1 if self.preset in self.study.light else None
        return sweep(list(points.points), self.study.evaluate, self.store, points.seeds, jobs=jobs)

    def chips(self, name: str) -> Chips:
        """What every chip of the sweep of this name got right."""
        return self._once(("chips", name), lambda: Chips(self.sweep(name)))

    def labelled(self, name: str) -> Labelled:
        """The points of a sweep with their labels."""
        return list(zip(self._sweeps[name].labels, self._sweeps[name].points, strict=True))

    def tidy(self, name: str) -> pd.DataFrame:
        """A row per labelled point of a sweep: its labels, and mean accuracy over chips with its 95 % interval."""
        return tidy(self.sweep(name), self.labelled(name))

    def decided(self, name: str) -> list[Claim]:
        """The claims that the comparisons of a sweep make."""
        return [comparison.claim(self.chips(name)) for comparison in self._sweeps[name].comparisons]

    def once(self, function: Callable[["Run"], T]) -> T:
        """The result of a function of this run, computed once: tables and claims share what they build on."""
        return self._once(function, lambda: function(self))

    def _once(self, key: Any, make: Callable[[], T]) -> T:
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    def table(self, name: str) -> pd.DataFrame:
        """Make a table of the study, write it, and return what the file holds."""
        return self._once(("table", name), lambda: self._save(name))

    def _save(self, name: str) -> pd.DataFrame:
        return save_table(self.once(self.study.tables[name]), name, self.preset, self.study.digits)

    def figure(self, name: str) -> None:
        """Draw a figure of the study from its tables, and write it. A notebook shows what was drawn."""
        self._once(("figure", name), lambda: self._draw(name))

    def _draw(self, name: str) -> bool:
        drawing = self.study.drawings[name]
        tables = [self.table(table) for table in drawing.tables]
        known = self.once(provenance)
        save_picture(drawing.plot(*tables, **{key: known[key] for key in drawing.parameters}), name, self.preset)
        return True

    def claims(self, *figures: str) -> None:
        """Print the verdict on every claim, or on those that these figures carry."""
        for name in figures or self.study.claims:
            for claim in self.claims_of(name):
                print(f"{claim.marked_verdict:<24} {claim.text}")

    def claims_of(self, figure: str) -> list[Claim]:
        """The claims that a figure carries."""
        make = self.study.claims.get(figure)
        return self.once(make) if make else []

    def finish(self) -> None:
        """Write every table and figure that is still missing, and the provenance of all figures with their claims."""
        for name in self.study.tables:
            program = self.study.programs.get(name)
            if program is None or shutil.which(program):
                self.table(name)
        for name in self.study.drawings:
            self.figure(name)
            save_provenance(name, self.preset, self.once(provenance), modules_of(self.study), self.claims_of(name))


def modules_of(study: Study) -> list[str]:
    """The modules that decide a study's tables and figures, with what they import: its own, and this one."""
    functions = (study.evaluate, study.sweeps, study.requires, study.inputs)
    return sorted({function.__module__ for function in functions if function} | {__name__})


def provenance(run: Run) -> dict[str, Any]:
    """The parameters of a run, and what else decides its figures."""
    return vars(run.p) | run.study.inputs(run.p)
