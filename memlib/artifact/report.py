"""The report: every claim of a preset's figures with its verdict, in REPORT.md."""

import json
from pathlib import Path
from typing import Any

from memlib.base.files import project_root, write_whole
from memlib.evidence.claims import effect_text


def claims(folder: Path) -> list[tuple[str, dict[str, Any], str]]:
    """Figure, claim, and verdict with its mark, of all figures of a preset."""
    rows = []
    for path in sorted(folder.glob("*.json")):
        for claim in json.loads(path.read_text()).get("claims", []):
            rows.append((path.stem, claim, claim["verdict"] + (" (exploratory)" if claim["exploratory"] else "")))
    return rows


def write_report(preset: str) -> Path:
    """Write REPORT.md: every claim of the preset's figures with its verdict, effect and interval."""
    folder = project_root() / "figures" / preset
    lines = [f"# Claims, preset `{preset}`", ""]
    lines += [
        "Effects in percentage points, or as a ratio (times), with 95 % intervals over n chips; n is 0 where all is",
        "counted and nothing random. A claim on fewer than 10 chips or 5,000 images is marked exploratory, whatever",
        "its verdict. Each interval stands for itself, uncorrected for their number.",
        "",
    ]
    figures = {path.stem: json.loads(path.read_text()).get("parameters", {}) for path in sorted(folder.glob("*.json"))}
    lines += [f"Images of {name}: {p['origin']}." for name, p in figures.items() if "origin" in p] + [""]
    lines += ["| figure | claim | verdict | effect | n | images |", "|---|---|---|---|---|---|"]
    row = "| {name} | {statement} | {verdict} | {text} | {n} | {images} |"
    for name, claim, verdict in claims(folder):
        lines.append(row.format(**claim | {"name": name, "verdict": verdict, "text": effect_text(claim)}))
    folder.mkdir(parents=True, exist_ok=True)  # not there if all notebooks were left out
    path = folder / "REPORT.md"
    write_whole(path, "\n".join(lines) + "\n")
    return path
