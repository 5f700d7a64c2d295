"""The words that close a run: counts by hand, and what differs from the figures that git has, or that were there."""

import json
import subprocess

import pytest

from memlib.artifact.closing import LISTED, Row, closing, reference
from memlib.artifact.usage import Usage
from memlib.evidence.claims import Claim, Statement


def write(folder, verdict="confirmed", table="a\n1\n", notebook="05_tile_size", effect=1.0):
    """A figure of a table and four claims, the first with this verdict, all of this effect."""
    claims = [
        Claim(Statement(str(i), "", ""), verdict, effect, 1.0, 1.0, n, 0)
        for i, (verdict, n) in enumerate([(verdict, 0), ("confirmed", 10), ("refuted", 3), ("undecided", 9)])
    ]
    (folder / f"{notebook}.json").write_text(json.dumps({"claims": [claim.as_dict() for claim in claims]}))
    (folder / f"{notebook}.csv").write_text(table)


def commit(folder):
    """A repository that has the folder as it is."""
    git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "figures"]):
        subprocess.run([*git, *command], check=True)


ROWS = [Row("05_tile_size", "done", Usage(12.34, 23.45, 678_000_000)), Row("11_spice", "left out", why="no ngspice")]


@pytest.fixture
def after(tmp_path):
    """Called to say what differs: the lines after the notebooks', without where the report is."""

    def lines(before, rows=ROWS):
        return closing(rows, tmp_path, before).partition("\n\n")[2].splitlines()[:-2]

    return lines


def test_a_line_for_each_notebook(tmp_path):
    """Times, memory and verdicts; exploratory are those on 1 to 9 chips."""
    write(tmp_path)
    write(tmp_path, notebook="06_power")
    text = closing([*ROWS, Row("06_power", "up to date")], tmp_path, reference(tmp_path / "missing"))
    assert text.splitlines() == [
        "notebook           state      seconds     CPU  memory  confirmed  refuted  undecided  exploratory",
        "05_tile_size       done          12.3    23.4  0.7 GB          2        1          1            2",
        "11_spice           left out",
        "06_power           up to date                                  2        1          1            2",
        "note: no ngspice",
        "",
        f"{tmp_path}/REPORT.md holds every claim with its effect and interval.",
    ]


@pytest.mark.parametrize("origin", ["committed", "before this run"])
def test_what_differs(tmp_path, after, origin):
    """Tables by their bytes, and claims, of the notebooks that ran, with git and without."""
    write(tmp_path)
    write(tmp_path, notebook="06_power")
    if origin == "committed":
        commit(tmp_path)
    before = reference(tmp_path)
    assert after(before) == [f"figures as {origin}: yes"]
    write(tmp_path, "undecided", "a\n2\n")
    (tmp_path / "05_tile_size_more.csv").write_text("")
    (tmp_path / "06_power.csv").unlink()  # which did not run
    differences = [
        "  05_tile_size.csv: other numbers",
        "  05_tile_size_more.csv: new",
        "  05_tile_size, 0: undecided, was confirmed",
    ]
    assert after(before) == [f"figures as {origin}: no", *differences]
    assert after(before, [Row("06_power", "done")]) == [f"figures as {origin}: no", "  06_power.csv: missing"]


def test_what_another_processor_may_change_is_no_difference(tmp_path, after):
    """A thousandth of a number that is not whole."""
    write(tmp_path, table="energy,n\n1.0,1\n")
    before = reference(tmp_path)
    write(tmp_path, table="energy,n\n1.0001,1\n")
    assert after(before) == [
        "figures as before this run: yes, within what another processor may change: 05_tile_size.csv"
    ]
    write(tmp_path, table="energy,n\n1.0,2\n")
    assert after(before) == ["figures as before this run: no", "  05_tile_size.csv: other numbers"]


def test_another_answer_of_a_search_is_a_difference(tmp_path, after):
    """Although CI, on any processor, compares the costs of its designs only."""
    rows = [Row("09_design_space", "done")]
    write(tmp_path, table="rows,energy\n64,1.0\n", notebook="09_design_space_answer")
    before = reference(tmp_path)
    write(tmp_path, table="rows,energy\n128,1.0\n", notebook="09_design_space_answer")
    assert after(before, rows)[1:] == ["  09_design_space_answer.csv: other numbers"]


def test_claims_are_compared_by_their_numbers_too(tmp_path, after):
    """And are new or missing by their ids; a verdict that turned says more than other numbers."""
    write(tmp_path)
    before = reference(tmp_path)
    write(tmp_path, "refuted", effect=2.0)
    other = [f"  05_tile_size, {i}: other numbers" for i in (1, 2, 3)]
    assert after(before)[1:] == ["  05_tile_size, 0: refuted, was confirmed", *other]
    (tmp_path / "05_tile_size.json").write_text('{"claims": []}')
    assert after(before)[1:] == [f"  05_tile_size, {i}: missing" for i in range(4)]
    assert after(reference(tmp_path)) == ["figures as before this run: yes"]
    emptied = reference(tmp_path)
    write(tmp_path)
    assert after(emptied)[1:] == [f"  05_tile_size, {i}: new" for i in range(4)]


def test_git_is_asked_for_what_is_committed(tmp_path, after):
    """Not for what an earlier run left in the folder."""
    write(tmp_path)
    commit(tmp_path)
    write(tmp_path, table="a\n2\n")
    assert after(reference(tmp_path)) == ["figures as committed: no", "  05_tile_size.csv: other numbers"]


def test_only_some_differences_are_named(tmp_path, after):
    """The others are counted."""
    write(tmp_path)
    before = reference(tmp_path)
    for i in range(LISTED + 3):
        (tmp_path / f"05_tile_size_{i}.csv").write_text("")
    assert after(before)[-1] == "  and 3 more"
    assert len(after(before)) == LISTED + 2
