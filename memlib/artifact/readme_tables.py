"""Documents whose numbers come from the tables and claims of figures/paper.

Each has a template of the same path in memlib/artifact/templates, ending in `.jinja`. A template fetches numbers by
`cell`, `column`, `table` and `claim`, and formats them by the filters below.

    python -m memlib.artifact.readme_tables    # write all documents again
"""

import csv
import math
from collections import Counter
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from memlib.artifact.report import contents
from memlib.base.files import project_root, write_whole
from memlib.evidence.claims import VERDICTS
from memlib.studies.shared.trained_networks import label
from memlib.training.recipes import AGAIN, RECIPES, again
from memlib.zoo.checkpoints import read_manifest

#: The documents made from templates, relative to the project's folder.
DOCUMENTS = ("README.md", "figures/README.md")
MARKS = {"confirmed": " ▲", "refuted": " ▼", "undecided": ""}  #: marks of verdicts in tables


class Results:
    """The tables (CSV) and claims (JSON) of one preset's folder in figures/."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._tables: dict[str, list[dict[str, Any]]] = {}

    def table(self, name: str, **where: Any) -> list[dict[str, Any]]:
        """The rows of a table with the values `where`, numbers as floats. Raises ValueError if there are none."""
        if name not in self._tables:
            with (self.folder / f"{name}.csv").open() as file:
                self._tables[name] = [{key: _value(text) for key, text in row.items()} for row in csv.DictReader(file)]
        rows = [row for row in self._tables[name] if all(row[key] == value for key, value in where.items())]
        if not rows:
            raise ValueError(f"{name}.csv has no row with {where}")
        return rows

    def cell(self, name: str, column: str, **where: Any) -> Any:
        """The value of a column in the one row with the values `where`. Raises ValueError for none, or several."""
        rows = self.table(name, **where)
        if len(rows) > 1:
            raise ValueError(f"{name}.csv has {len(rows)} rows with {where}")
        return rows[0][column]

    def column(self, name: str, column: str, **where: Any) -> list[Any]:
        """The values of a column in all rows that have the values `where`."""
        return [row[column] for row in self.table(name, **where)]

    @cached_property
    def _claims(self) -> list[dict[str, Any]]:
        return [
            claim | {"figure": figure, "number": figure[:2]}
            for figure, file in contents(self.folder).items()
            for claim in file.get("claims", [])
        ]

    def claims(self, figure: str = "", start: str = "") -> list[dict[str, Any]]:
        """Claims, each with its `figure` and that notebook's `number`: of one figure or all, with ids that start so."""
        return [c for c in self._claims if figure in ("", c["figure"]) and c["id"].startswith(start)]

    def claim(self, figure: str, name: str, verdict: str = "") -> dict[str, Any]:
        """The claim of a figure with this id.

        Raises ValueError if the figure makes no such claim, or if its verdict is not the one that the sentence
        around it relies on.
        """
        matching = [claim for claim in self.claims(figure, name) if claim["id"] == name]
        if not matching:
            raise ValueError(f"figure={figure!r}: makes no claim {name!r}")
        if verdict not in ("", matching[0]["verdict"]):
            raise ValueError(f"figure={figure!r}: {name!r} is {matching[0]['verdict']}, not {verdict}: write again")
        return matching[0]

    def counts(self, number: str = "") -> Counter[str]:
        """How many claims have each verdict, and how many are exploratory, of one notebook or of all."""
        of = [claim for claim in self._claims if claim["number"].startswith(number)]
        return Counter(claim["verdict"] for claim in of) + Counter(
            all=len(of), exploratory=sum(claim["exploratory"] for claim in of)
        )


def networks() -> list[dict[str, Any]]:
    """Every plain, pruned or binary network for CIFAR-10: its recipe, and the accuracy of each training, or None."""
    trained = read_manifest()
    rows = []
    for name, recipe in RECIPES.items():
        wanted = not recipe.start or recipe.prune or recipe.binary
        if recipe.data != "cifar10" or recipe.seed or not wanted:
            continue
        done = [trained.get(again(name, seed)) for seed in (0, *AGAIN)]
        known = [entry for entry in done if entry]
        rows.append(
            {
                "checkpoint": name, "network": label(name), "epochs": recipe.epochs,
                "parameters": known[0]["nonzero"] if known else None,
                "accuracies": [entry["accuracy"]["test"] if entry else None for entry in done],
                "once": again(name, 1) not in RECIPES,
                "minutes": [entry["seconds"] / 60 for entry in known],
            }
        )  # fmt: skip
    return rows


def _value(text: str) -> Any:
    """The value of a CSV's field: a number, True or False, None where it is empty, else a string."""
    words = {"True": True, "False": False, "": None}
    if text in words:
        return words[text]
    try:
        return float(text)
    except ValueError:
        return text


def fixed(value: float, digits: int = 0) -> str:
    """A number with so many decimals, a comma between thousands, and no minus before a zero."""
    return f"{value:z,.{digits}f}"


def significant(value: float, digits: int = 3) -> str:
    """A number rounded to so many digits, written without an exponent."""
    if not value:
        return "0"
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    text = fixed(round(value, decimals), max(decimals, 0))
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent(share: float, digits: int = 1) -> str:
    """A share as a percentage."""
    return f"{fixed(100 * share, digits)} %"


def points(share: float, digits: int = 1) -> str:
    """A share, or a difference of shares, as percentage points."""
    return fixed(100 * share, digits)


def span(values: Iterable[float], digits: int | None = None, scale: float = 1.0) -> str:
    """The smallest and the largest of some values, with so many decimals or three significant digits."""
    known = [scale * value for value in values if value is not None]
    low, high = (significant(v) if digits is None else fixed(v, digits) for v in (min(known), max(known)))
    return low if low == high else f"{low} to {high}"


def effect(claim: dict[str, Any], digits: int = 1, unit: bool = True) -> str:
    """A claim's effect with its 95 % interval, if it has one, and its unit; ratios with three significant digits."""
    ratio = claim["unit"] == "times"
    numbers = [claim[name] for name in ("effect", "low", "high")]
    middle, low, high = (significant(number) if ratio else fixed(number, digits) for number in numbers)
    interval = f" [{low}, {high}]" if low != high else ""
    return middle + interval + (f" {claim['unit']}" if unit else "")


def render(document: str, folder: Path | None = None) -> str:
    """The text of a document, made from its template and the results in `folder` (default: figures/paper)."""
    results = Results(folder or project_root() / "figures" / "paper")
    loader = FileSystemLoader(Path(__file__).parent / "templates")
    spaces: dict[str, Any] = {"trim_blocks": True, "lstrip_blocks": True, "keep_trailing_newline": True}
    environment = Environment(loader=loader, undefined=StrictUndefined, **spaces)
    environment.filters |= {f.__name__: f for f in (fixed, significant, percent, points, span, effect)}
    functions = results.table, results.cell, results.column, results.claims, results.claim, results.counts
    environment.globals |= {f.__name__: f for f in functions} | {
        "verdicts": VERDICTS,
        "marks": MARKS,
        "networks": networks,
    }
    return environment.get_template(f"{document}.jinja").render()


if __name__ == "__main__":
    for document in DOCUMENTS:
        write_whole(project_root() / document, render(document))
