"""The words that close a run: what each notebook answered, and whether tables and claims are as committed."""

import io
import json
import subprocess
import tarfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from memlib.artifact.report import claims
from memlib.artifact.table_agreement import differences
from memlib.artifact.usage import Usage
from memlib.evidence.claims import VERDICTS, Claim

LISTED = 10  #: differences that are named; the others are counted


@dataclass(frozen=True)
class Row:
    """How one notebook ended."""

    notebook: str
    state: str  #: "done", "up to date" or "left out"
    usage: Usage | None = None  #: if it ran now
    why: str = ""  #: if it is left out


@dataclass(frozen=True)
class Reference:
    """Tables and provenance files to compare those of a run with."""

    origin: str  #: "committed", or "before this run"
    files: dict[str, bytes]  #: by name, such as "05_tile_size.csv"


def reference(folder: Path) -> Reference:
    """The tables and claims of a folder in figures/ as git has them committed, or as they are now without git."""
    command = ["git", "-C", str(folder), "archive", "--format=tar", "HEAD", "*.csv", "*.json"]
    try:
        packed = subprocess.run(command, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):  # no git, no repository, or nothing committed
        return Reference("before this run", _files(folder))
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        files = {member.name: archive.extractfile(member) for member in archive}
        return Reference("committed", {name: file.read() for name, file in files.items() if file})


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for suffix in ("csv", "json") for path in folder.glob(f"*.{suffix}")}


def closing(rows: Sequence[Row], folder: Path, before: Reference) -> str:
    """A line for each notebook, then what differs from the reference, then where the rest stands.

    `folder` holds the preset's figures, `before` is what `reference` returned before the run.
    """
    lines = [
        f"{'notebook':<18} {'state':<10} {'seconds':>7} {'CPU':>7} {'memory':>7}"
        f" {'confirmed':>10} {'refuted':>8} {'undecided':>10} {'exploratory':>12}"
    ]
    known = claims(folder)
    lines += [_line(row, [claim for figure, claim in known if figure.startswith(row.notebook)]) for row in rows]
    lines += [f"note: {row.why}" for row in rows if row.why]  # when it was left out, it was said, and scrolled away
    if before.files:
        ran = tuple(row.notebook for row in rows if row.state != "left out")
        both = before.files, _files(folder)
        was, now = ({name: text for name, text in files.items() if name.startswith(ran)} for files in both)
        different, rounded = _differences(was, now)
        otherwise = f", within what another processor may change: {', '.join(rounded)}" if rounded else ""
        lines += ["", f"figures as {before.origin}: {'no' if different else 'yes'}{otherwise}"]
        lines += [f"  {text}" for text in different[:LISTED]]
        lines += [f"  and {len(different) - LISTED} more"] if len(different) > LISTED else []
    return "\n".join([*lines, "", f"{folder / 'REPORT.md'} holds every claim with its effect and interval."])


def _line(row: Row, answers: Sequence[Claim]) -> str:
    line = f"{row.notebook:<18} {row.state:<10}"
    if row.state == "left out":
        return line.rstrip()
    usage = row.usage
    taken = f"{usage.seconds:>7.1f} {usage.cpu_seconds:>7.1f} {usage.memory / 1e9:>4.1f} GB" if usage else " " * 23
    count = Counter(claim.verdict for claim in answers)
    confirmed, refuted, undecided = (count[verdict] for verdict in VERDICTS)
    exploratory = sum(claim.exploratory for claim in answers)
    return f"{line} {taken} {confirmed:>10} {refuted:>8} {undecided:>10} {exploratory:>12}"


def _differences(was: dict[str, bytes], now: dict[str, bytes]) -> tuple[list[str], list[str]]:
    """Other tables, and then other claims, in words; and the names of tables that agree but are not the same."""
    tables = [{name: text for name, text in files.items() if name.endswith(".csv")} for files in (was, now)]
    rounded = [name for name in sorted(tables[0].keys() & tables[1]) if _rounded(name, was[name], now[name])]
    lines = []
    for old, new in (tables, (_claims(was), _claims(now))):
        different = sorted(name for name in old.keys() | new if old.get(name) != new.get(name))
        lines += [f"{name}: {_change(old.get(name), new.get(name))}" for name in different if name not in rounded]
    return lines, rounded


def _rounded(name: str, was: bytes, now: bytes) -> bool:
    """Whether two tables are not the same, but agree. Those of searches have no other tolerance than all."""
    if was == now:
        return False
    a, b = (pd.read_csv(io.BytesIO(text)) for text in (was, now))
    return not differences(name.removesuffix(".csv"), a, b, led=())


def _change(was: Any, now: Any) -> str:
    """How a table, or a claim, with its verdict first, differs; None: it is not there."""
    if was is None or now is None:
        return "new" if was is None else "missing"
    return f"{now[0]}, was {was[0]}" if isinstance(now, tuple) and now[0] != was[0] else "other numbers"


def _claims(files: dict[str, bytes]) -> dict[str, tuple]:
    """Verdict and numbers by figure and id of each claim."""
    figures = [(name.removesuffix(".json"), json.loads(text)) for name, text in files.items() if name.endswith(".json")]
    return {
        f"{name}, {claim['id']}": tuple(claim[field] for field in ("verdict", "effect", "low", "high", "n", "images"))
        for name, figure in figures
        for claim in figure.get("claims", [])
    }
