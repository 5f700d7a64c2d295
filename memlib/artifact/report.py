"""The report: every claim of a preset's figures with its verdict, in REPORT.md."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from memlib.base.files import project_root, write_whole
from memlib.evidence.claims import Claim, claim_of, effect_text


def contents(folder: Path) -> dict[str, dict[str, Any]]:
    """The json files of a preset's figures, by figure."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def claims(folder: Path) -> list[tuple[str, Claim]]:
    """Figure and claim, of all figures of a preset."""
    return [(name, claim_of(claim)) for name, file in contents(folder).items() for claim in file.get("claims", [])]


def origins(folder: Path) -> dict[str, set[str]]:
    """The origins of the images in figures, by the number of their notebook."""
    images = defaultdict(set)
    for figure, file in contents(folder).items():
        parameters = file.get("parameters", {})
        for name in {"origin", "sparse_origin"} & parameters.keys():
            images[figure[:2]].add(parameters[name])
    return dict(images)


def write_report(preset: str) -> Path:
    """Write REPORT.md: every claim of the preset's figures with its verdict, effect and interval."""
    folder = project_root() / "figures" / preset
    folder.mkdir(parents=True, exist_ok=True)  # not there if all notebooks were left out
    path = folder / "REPORT.md"
    write_whole(path, report(folder))
    return path


def report(folder: Path) -> str:
    """The text of REPORT.md, from the figures in `folder`, which bears the preset's name."""
    lines = [f"# Claims, preset `{folder.name}`", ""]
    lines += [
        "Effects in percentage points, or as a ratio (times), with 95 % intervals over n chips; n is 0 where all is",
        "counted and nothing random. A claim on fewer than 10 chips or 5,000 images is marked exploratory, whatever",
        "its verdict. Each interval stands for itself, uncorrected for their number.",
        "",
    ]
    lines += [f"Images of {number}: {'; '.join(sorted(there))}." for number, there in origins(folder).items()] + [""]
    lines += ["| figure | claim | verdict | effect | n | images |", "|---|---|---|---|---|---|"]
    for name, claim in claims(folder):
        cells = (name, claim.text, claim.marked_verdict, effect_text(claim), claim.n, claim.images)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"
