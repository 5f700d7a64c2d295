"""The notebooks as files: their parameters cells, which studies write, and the outputs that they carry.

python -m memlib.artifact.notebooks    # write the parameters cells of all notebooks again
"""

import ast
import difflib
import json
import os
import re
from collections.abc import Mapping as MappingType
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

from memlib.base.files import project_root, write_whole
from memlib.studies.registry import STUDIES
from memlib.studies.study import Study
from memlib.zoo.checkpoints import CheckpointError, manifest_entry

LINE_LENGTH = 120


class RunError(RuntimeError):
    """A run that cannot start or was ended; the message says why, on one line."""


def notebooks(only: str | None) -> list[Path]:
    """The notebooks to run: all numbered ones, or those whose name starts with one of the comma-separated `only`.

    Raises RunError if nothing matches.
    """
    known = sorted((project_root() / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    if not known:
        raise RunError(f"there are no notebooks in {project_root() / 'notebooks'}; run this in the project's folder")
    wanted = [start.strip() for start in only.split(",")] if only else [""]
    for start in wanted:
        if not any(path.stem.startswith(start) for path in known):
            names = ", ".join(path.stem for path in known)
            raise RunError(f"{start!r}: no notebook's name starts so; there are {names}")
    return [path for path in known if any(path.stem.startswith(start) for start in wanted)]


def study_of(path: Path) -> Study:
    """The study of a notebook. Raises RunError if there is none."""
    if path.stem not in STUDIES:
        raise RunError(f"{path.stem}: has no study; add it to memlib/studies/registry.py")
    return STUDIES[path.stem]


# Parameters


def declared_parameters(path: Path) -> dict[str, Any]:
    """Name -> default of the notebook's cell tagged `parameters`.

    Raises RunError if there is no such cell, or it holds anything but typed assignments of literals.
    """
    try:
        cells = json.loads(path.read_text())["cells"]
        tagged = ["".join(cell["source"]) for cell in cells if _is_parameters(cell)]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path.name}: damaged, or no notebook ({error!r}); restore it") from error
    if len(tagged) != 1:
        raise RunError(f"{path.name}: must have one cell tagged 'parameters', has {len(tagged)}")
    defaults = {}
    try:
        for line in ast.parse(tagged[0]).body:
            if not isinstance(line, ast.AnnAssign) or not isinstance(line.target, ast.Name) or line.value is None:
                raise ValueError
            defaults[line.target.id] = ast.literal_eval(line.value)
    except (ValueError, SyntaxError) as error:
        raise RunError(f"{path.name}: the parameters cell must hold lines such as 'images: int = 100' only") from error
    return defaults


def _is_parameters(cell: MappingType[str, Any]) -> bool:
    return "parameters" in cell.get("metadata", {}).get("tags", [])


def checked_parameters(path: Path, preset: str, given: MappingType[str, Any]) -> dict[str, Any]:
    """All parameters of a notebook: those of a preset, with `given` ones in place; an int may stand for a float.

    Raises RunError for an unknown name, a value of another type than the default's, or one that makes no points. The
    error names the given parameter that is wrong.
    """
    defaults, study = declared_parameters(path), study_of(path)
    for name, value in given.items():
        if name not in defaults:
            near = difflib.get_close_matches(name, defaults, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise RunError(f"{path.stem}: unknown parameter {name!r}{hint} (allowed: {', '.join(defaults)})")
        _check_type(path, name, value, defaults[name])
    parameters = defaults | study.preset(preset) | {"preset": preset} | dict(given)
    changed = [name for name in given if name != "preset"]
    try:
        for name in changed:
            _check_value(path, name, given[name], defaults[name])
        with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere):  # bars of searches for windows
            study.check(parameters, changed)
    except ValueError as error:
        raise RunError(str(error)) from error
    return parameters


def _check_type(path: Path, name: str, value: Any, default: Any) -> None:
    if isinstance(default, list) and isinstance(value, list) and default:
        for item in value:
            _check_type(path, name, item, default[0])
        return
    allowed = (int, float) if isinstance(default, float) else (type(default),)
    if not isinstance(value, allowed) or isinstance(value, bool) != isinstance(default, bool):
        kind = type(default).__name__
        raise RunError(f"{path.stem}: {name}={value!r}: must be of type {kind}, such as {default!r}")


def _check_value(path: Path, name: str, value: Any, default: Any) -> None:
    """The checks of every study: counts are at least 1, and networks are trained."""
    if isinstance(default, int) and not isinstance(default, bool) and value < 1 <= default:
        raise ValueError(f"{path.stem}: {name}={value!r}: must be at least 1")
    if "checkpoint" in name:
        for checkpoint in [value] if isinstance(value, str) else value:
            try:
                manifest_entry(checkpoint)
            except CheckpointError as error:
                raise ValueError(f"{path.stem}: {name}={value!r}: {error}") from error


def parameters_cell(study: Study) -> str:
    """The source of a notebook's parameters cell: the smoke preset, as typed literals."""
    values = {"preset": "smoke"} | study.preset("smoke")
    return "\n".join(_assigned(name, value) for name, value in values.items())


def _assigned(name: str, value: Any) -> str:
    line = f"{name}: {type(value).__name__} = {value!r}".replace("'", '"')
    if len(line) <= LINE_LENGTH:
        return line
    items = "".join(f"    {item!r},\n".replace("'", '"') for item in value)
    return f"{name}: list = [\n{items}]"


def write_parameters(path: Path) -> None:
    """Write a notebook's parameters cell as its study has it."""
    notebook = json.loads(path.read_text())
    for cell in filter(_is_parameters, notebook["cells"]):
        cell["source"] = parameters_cell(study_of(path)).splitlines(keepends=True)
    _write(path, notebook)


# Outputs


def keep_outputs(path: Path) -> None:
    """Copy the outputs of a notebook's last smoke run into the notebook itself, where nbval compares with them.

    Addresses in memory and where printed text was cut differ from run to run. They do not stay.
    """
    import nbformat
    from nbconvert.preprocessors import CoalesceStreamsPreprocessor

    text = (project_root() / "results" / "smoke" / path.name).read_text()
    executed = nbformat.reads(re.sub(r" at 0x[0-9a-f]+>", ">", text), nbformat.current_nbformat)
    executed, _ = CoalesceStreamsPreprocessor().preprocess(executed, {})
    by_id = {cell["id"]: cell for cell in json.loads(nbformat.writes(executed))["cells"]}
    notebook = json.loads(path.read_text())
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":  # nbval takes a cell without a count for one that never ran
            cell |= {key: by_id[cell["id"]][key] for key in ("outputs", "execution_count")}
    _write(path, notebook)


def _write(path: Path, notebook: dict[str, Any]) -> None:
    write_whole(path, json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    for notebook_path in notebooks(None):
        write_parameters(notebook_path)
