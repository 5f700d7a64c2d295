"""explore.ipynb in JupyterLab, in a real browser."""

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed; pip install -e '.[dev]'")

import lab
from playwright.sync_api import expect

needs_chromium = pytest.mark.skipif(
    lab.chromium() is None, reason="Chromium is not installed (Debian, Ubuntu: apt-get install chromium)"
)


@pytest.mark.slow
@needs_chromium
def test_a_slider_changes_the_page():
    """Keys and mouse move sliders; pictures and numbers follow; an impossible choice is told in words."""
    with lab.running_lab(lab.ROOT / "notebooks/explore.ipynb") as address, lab.browser_page(1400, 900) as page:
        explorer = lab.Explorer(page, address)
        pictures, text = explorer.pictures, explorer.numbers
        assert len(pictures) == 4
        widths = "root => [...root.querySelectorAll('img')].map(picture => picture.naturalWidth)"
        assert min(explorer.root.evaluate(widths)) > 0
        assert "before" not in text
        explorer.press("programming error", "ArrowRight")
        explorer.changed(pictures)
        assert "before" in explorer.numbers != text
        moved, text = explorer.pictures, explorer.numbers
        explorer.drag("rows", -30)
        explorer.changed(moved)
        assert all(new != old for new, old in zip(explorer.pictures, moved, strict=True))
        assert explorer.numbers != text
        explorer.press("ADC, bits", "Home")  # a pair's current is signed
        error = explorer.root.locator(".memlib-error")
        expect(error).to_contain_text("adc_bits=1: must be at least 2", timeout=lab.PATIENCE)
        assert explorer.root.evaluate("node => node.scrollWidth <= node.clientWidth + 1")
