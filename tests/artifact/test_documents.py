"""What the documents say: links lead somewhere, snippets run, tables are those of the results."""

import re
import subprocess
import sys
import unicodedata

import pytest

from memlib.artifact import readme_tables
from memlib.base.files import project_root

ROOT = project_root()
DOCUMENTS = [path for path in sorted(ROOT.glob("**/*.md")) if not {".venv", "results", "build"} & set(path.parts)]
LINK = re.compile(r"\]\(\s*([^)\s]+)\s*\)")
#: Scripts with modules of the reader's own, and what needs a cluster.
NOT_RUN = ("# my_study.py", "# run.py", "# my_search.py", "from dask_jobqueue")


def _anchors(text):
    """The anchors that GitHub gives to headings."""
    titles = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.S), flags=re.M)
    kept = ("".join(c for c in t.lower() if c in " -_" or unicodedata.category(c)[0] in "LN") for t in titles)
    return {title.replace(" ", "-") for title in kept}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    """Files exist, anchors are headings; pages elsewhere are not asked for."""
    broken = []
    for target in LINK.findall(path.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        if not file.exists() or (anchor and anchor not in _anchors(file.read_text())):
            broken.append(target)
    assert not broken


def test_snippets_run(tmp_path):
    """Those of the README, and of the library's guide, which goes on from there; warnings are errors."""
    text = "\n".join((ROOT / name).read_text() for name in ("README.md", "memlib/README.md"))
    snippets = re.findall(r"^```python\n(.*?)^```", text, flags=re.S | re.M)
    chosen = [snippet for snippet in snippets if not any(words in snippet for words in NOT_RUN)]
    assert len(chosen) >= 10
    (tmp_path / "snippets.py").write_text("import torch\n\ntorch.set_num_threads(1)\n" + "\n".join(chosen))
    done = subprocess.run(
        [sys.executable, "-W", "error", "snippets.py"], cwd=tmp_path, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_tables_of_the_readme_are_those_of_the_results():
    """Claims, their numbers and what they cost, made again from figures/paper."""
    text = (ROOT / "README.md").read_text()
    for table in ("headlines", "counts", "costs"):
        assert f"<!-- {table} -->\n|" in text
    assert readme_tables.filled_in(text) == text
    assert not re.search(r"@[A-Z0-9]+@", text)  # a place to be filled in by hand
    assert set(readme_tables.times()) == {path.stem for path in (ROOT / "notebooks").glob("[0-9]*.ipynb")}


def test_a_claim_that_no_figure_makes_is_told(monkeypatch):
    monkeypatch.setattr(readme_tables, "HEADLINES", (("power", "06_power", "it is free"),))
    with pytest.raises(ValueError, match=r"06_power.*it is free"):
        readme_tables.headlines()


def test_the_map_names_every_module():
    text = (ROOT / "memlib" / "README.md").read_text().partition("## Map")[2]
    assert [path.name for path in (ROOT / "memlib").glob("*.py") if f"]({path.name})" not in text] == ["__init__.py"]
