"""Documents: links lead somewhere, snippets run, numbers are those of the results."""

import json
import re
import subprocess
import sys
import unicodedata

import pytest

from memlib.artifact import readme_tables
from memlib.artifact.report import origins, report
from memlib.base.files import project_root
from memlib.studies.study import PRESETS

ROOT = project_root()
DOCUMENTS = [path for path in sorted(ROOT.glob("**/*.md")) if not {".venv", "results", "build"} & set(path.parts)]
NOTEBOOKS = sorted(ROOT.glob("notebooks/*.ipynb"))
LINK = re.compile(r"\]\(\s*([^)\s]+)\s*\)")
#: Snippets that need modules of the reader's own, or a cluster.
NOT_RUN = ("# my_study.py", "# run.py", "# my_search.py", "from dask_jobqueue")
#: One thread, and 40 images where a snippet asks for more.
FEWER = """
import torch
from memlib.zoo.data_sets import Images
torch.set_num_threads(1)
head = Images.head
Images.head = lambda images, n: head(images, min(n, 40))
"""


def _anchors(text):
    """The anchors that GitHub gives to headings."""
    titles = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.S), flags=re.M)
    kept = ("".join(c for c in t.lower() if c in " -_" or unicodedata.category(c)[0] in "LN") for t in titles)
    return {title.replace(" ", "-") for title in kept}


def _text(path):
    """A document, or the markdown of a notebook."""
    if path.suffix == ".md":
        return path.read_text()
    cells = json.loads(path.read_text())["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


@pytest.mark.parametrize("path", DOCUMENTS + NOTEBOOKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    """Files exist, anchors are headings; pages elsewhere are not asked for."""
    broken = []
    for target in LINK.findall(_text(path)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        if not file.exists() or (anchor and anchor not in _anchors(file.read_text())):
            broken.append(target)
    assert not broken


def test_the_files_that_contributors_are_sent_to_exist():
    """All but the new study of the example."""
    named = re.findall(r"`((?:memlib|tests)/[\w/.]+)`", (ROOT / "CONTRIBUTING.md").read_text())
    assert [name for name in named if not (ROOT / name).exists()] == ["memlib/studies/s14_name.py"]


@pytest.mark.slow
def test_snippets_run(tmp_path):
    """Those of the README, and of the library's guide, which goes on from there; warnings are errors."""
    text = "\n".join((ROOT / name).read_text() for name in ("README.md", "memlib/README.md"))
    snippets = re.findall(r"^```python\n(.*?)^```", text, flags=re.S | re.M)
    runnable = [snippet for snippet in snippets if not any(words in snippet for words in NOT_RUN)]
    assert len(runnable) >= 10
    (tmp_path / "snippets.py").write_text(FEWER + "\n".join(runnable))
    done = subprocess.run(
        [sys.executable, "-W", "error", "snippets.py"], cwd=tmp_path, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("document", readme_tables.DOCUMENTS)
def test_numbers_are_those_of_the_results(document):
    """Remedy: edit the template, then `python -m memlib.artifact.readme_tables`."""
    assert (ROOT / document).read_text() == readme_tables.render(document)


def test_every_notebook_has_its_costs():
    costs = readme_tables.Results(ROOT / "figures" / "paper").column("times", "notebook")
    assert costs == [path.stem for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))]


@pytest.fixture
def results(tmp_path):
    """Two rows, and two claims."""
    (tmp_path / "05_rows.csv").write_text("rows,accuracy,note\n32,0.905,\n64,0.9,True\n")
    claims = [{"id": name, "verdict": "confirmed", "exploratory": name == "a/b"} for name in ("a", "a/b")]
    (tmp_path / "05_rows.json").write_text(json.dumps({"claims": claims}))
    return readme_tables.Results(tmp_path)


def test_cells_and_claims_are_found_by_what_they_are(results):
    assert results.cell("05_rows", "accuracy", rows=32) == 0.905
    assert results.column("05_rows", "note") == [None, True]
    assert results.claim("05_rows", "a/b", "confirmed")["number"] == "05"
    assert [claim["id"] for claim in results.claims("05_rows", "a/")] == ["a/b"]
    assert results.counts("05") == {"confirmed": 2, "all": 2, "exploratory": 1}


@pytest.mark.parametrize(
    ("look", "message"),
    [
        (lambda r: r.cell("05_rows", "accuracy", rows=128), r"05_rows.csv has no row with {'rows': 128}"),
        (lambda r: r.cell("05_rows", "accuracy"), "05_rows.csv has 2 rows"),
        (lambda r: r.claim("05_rows", "b"), "figure='05_rows': makes no claim 'b'"),
        (lambda r: r.claim("05_rows", "a", "refuted"), "'a' is confirmed, not refuted: write again"),
    ],
)
def test_what_no_result_says_is_refused(results, look, message):
    with pytest.raises(ValueError, match=message):
        look(results)


def test_numbers_are_written_plainly():
    assert [readme_tables.fixed(v, 1) for v in (-0.04, 12345.67)] == ["0.0", "12,345.7"]
    assert [readme_tables.significant(v) for v in (0, 0.37149, 79.66, 283501.0, 12.0)] == [
        "0", "0.371", "79.7", "284,000", "12",
    ]  # fmt: skip
    assert readme_tables.percent(0.8815, 2) == "88.15 %"
    assert readme_tables.span([0.0194, None, 0.0171], 1, 100) == "1.7 to 1.9"
    claim = {"effect": 1.205, "low": 1.2, "high": 1.21, "unit": "times"}
    assert readme_tables.effect(claim) == "1.21 [1.2, 1.21] times"
    assert readme_tables.effect(claim | {"unit": "points"}, 0) == "1 points"


def test_the_map_names_every_module():
    text = (ROOT / "memlib" / "README.md").read_text()
    modules = [path.relative_to(ROOT / "memlib") for path in (ROOT / "memlib").rglob("*.py")]
    named = [path for path in modules if path.stem[0] != "_" and path.parts[1:] and path.parts[0] != "studies"]
    assert [str(path) for path in named if f"]({path})" not in text] == []


@pytest.mark.parametrize("preset", PRESETS)
def test_the_report_is_that_of_the_figures(preset):
    folder = ROOT / "figures" / preset
    assert (folder / "REPORT.md").read_text() == report(folder)


def test_the_report_names_the_images_of_every_network(tmp_path):
    """Also those of a figure that shows another network than its notebook's first."""
    written = {"origin": "CIFAR-10", "sparse_origin": "digits"}
    (tmp_path / "08_parasitics.json").write_text(json.dumps({"parameters": written}))
    (tmp_path / "02_mapping.json").write_text(json.dumps({"parameters": {}}))
    assert origins(tmp_path) == {"08": {"CIFAR-10", "digits"}}
