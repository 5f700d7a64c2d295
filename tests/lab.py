"""JupyterLab in a headless Chromium: explore.ipynb as a user sees it, without touching the user's own settings.

    python tests/lab.py figures/explore.png [--width 1400] [--height 900]

starts both, runs all cells, moves sliders, and saves a picture of the page.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from playwright.sync_api import Locator, Page, expect, sync_playwright

ROOT = Path(__file__).parents[1]
#: Of whatever is waited for, ms: a slow machine takes a while to start a kernel.
PATIENCE = 90_000
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync")
#: In JavaScript: addresses of the pictures in an element.
PICTURES = "root => [...root.querySelectorAll('img')].map(picture => picture.src)"


def chromium() -> str | None:
    """Path of the installed Chromium or Chrome, or None."""
    found = map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"))
    return next((path for path in found if path), None)


@contextlib.contextmanager
def running_lab(notebook: Path) -> Iterator[str]:
    """JupyterLab with a copy of a notebook in folders of its own; yields the notebook's address, with the token."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        root = Path(folder)
        (root / "notebooks").mkdir()
        shutil.copy(notebook, root / "notebooks")
        news = root / "settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
        news.parent.mkdir(parents=True)
        news.write_text('{"fetchNews": "false", "checkForUpdates": false}')
        log = stack.enter_context((root / "log").open("w+"))
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", f"--port={_free_port()}", "--allow-root"]
        server = subprocess.Popen(
            command, cwd=root / "notebooks", env=_environment(root), stdout=log, stderr=log, text=True
        )
        try:
            info = _started(server, root / "runtime", root / "log")
            yield f"{info['url']}lab/tree/{notebook.name}?token={info['token']}"
        finally:
            server.terminate()  # it ends its kernels
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _environment(root: Path) -> dict[str, str]:
    """Every folder that Jupyter and IPython write to lies in `root`; this package is found wherever it is run from."""
    names = {
        "JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces", "IPYTHONDIR": "ipython",
    }  # fmt: skip
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    folders = {name: str(root / folder) for name, folder in names.items()}
    return os.environ | folders | {"PYTHONPATH": os.pathsep.join(paths), "JUPYTER_NO_CONFIG": ""}


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def _started(server: subprocess.Popen, runtime: Path, log: Path) -> dict[str, str]:
    """What the server writes down when it listens."""
    end = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < end and server.poll() is None:
        for path in runtime.glob("jpserver-*.json"):
            with contextlib.suppress(ValueError):  # not whole yet
                return json.loads(path.read_text())
        time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")


@contextlib.contextmanager
def browser_page(width: int, height: int) -> Iterator[Page]:
    """An empty page of a headless Chromium with a fresh profile."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        try:
            page = browser.new_page(viewport={"width": width, "height": height})
            page.set_default_timeout(PATIENCE)
            yield page
        finally:
            browser.close()


class Explorer:
    """The page explore in JupyterLab, all its cells run."""

    def __init__(self, page: Page, address: str) -> None:
        self.page, self.root = page, page.locator(".memlib-explore")
        page.goto(address)
        page.locator(".jp-Notebook .jp-Cell").first.wait_for()
        page.get_by_text(re.compile(r"\| Idle$")).wait_for()  # what is run before is lost
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.locator(".lm-Menu-item", has_text=re.compile("^Run All Cells")).click()
        self.root.wait_for()
        self.wait()

    def wait(self) -> None:
        """Until nothing is computed."""
        expect(self.root.get_by_text("drawn in")).to_be_visible(timeout=PATIENCE)

    @property
    def pictures(self) -> list[str]:
        return self.root.evaluate(f"root => ({PICTURES})(root)")

    @property
    def numbers(self) -> str:
        return self.root.locator(".memlib-numbers").inner_text()

    def control(self, name: str) -> Locator:
        """The row of the control with this text."""
        label = self.page.locator(".widget-label", has_text=re.compile(f"^{re.escape(name)}$"))
        return self.root.locator(".widget-inline-hbox", has=label).first

    def press(self, name: str, key: str) -> None:
        self.control(name).get_by_role("slider").press(key)

    def drag(self, name: str, pixels: int) -> None:
        handle = self.control(name).get_by_role("slider")
        handle.scroll_into_view_if_needed()
        box = handle.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x + pixels, y, steps=5)
        self.page.mouse.up()

    def changed(self, pictures: list[str]) -> None:
        """Wait until some picture is another one, and all is drawn."""
        condition = f"old => ({PICTURES})(document.querySelector('.memlib-explore')).some((src, i) => src != old[i])"
        self.page.wait_for_function(condition, arg=pictures)
        self.wait()

    def screenshot(self, target: Path) -> None:
        """A picture of the window, from the top of the page on, when nothing fades any more."""
        self.root.evaluate("root => root.scrollIntoView({block: 'start'})")
        faded = "root => [...root.querySelectorAll('img')].some(picture => getComputedStyle(picture).opacity < 1)"
        self.page.wait_for_function(f"() => !({faded})(document.querySelector('.memlib-explore'))")
        self.page.screenshot(path=target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", type=Path)
    parser.add_argument("--width", type=int, default=1400)
    parser.add_argument("--height", type=int, default=900)
    arguments = parser.parse_args()
    with (
        running_lab(ROOT / "notebooks/explore.ipynb") as address,
        browser_page(arguments.width, arguments.height) as page,
    ):
        explorer = Explorer(page, address)
        for name in ("layout", "layout", "tile"):  # to 4x4, and the second tile
            pictures = explorer.pictures
            explorer.press(name, "ArrowRight")
            explorer.changed(pictures)
        explorer.screenshot(arguments.target)
    picture = Image.open(arguments.target).convert("RGB")
    picture.quantize(256, method=Image.Quantize.MAXCOVERAGE).save(arguments.target, optimize=True)


if __name__ == "__main__":
    main()
