"""explore.ipynb without a browser: what is shown is what memlib says, and the page follows its controls."""

import json
import threading
from pathlib import Path

import nbformat
import numpy as np
import pytest

import memlib
from memlib.artifact.notebooks import declared_parameters
from memlib.evidence.intervals import difference_interval
from memlib.explorer import page as explorer_page, views
from memlib.explorer.controls import LAYOUTS
from memlib.explorer.page import Page
from memlib.explorer.pictures import numbers, percent, quantity
from memlib.explorer.views import Design
from memlib.layers.classification import correct
from memlib.zoo import data_sets
from memlib.zoo.checkpoints import load_checkpoint, manifest_entry

NOTEBOOK = Path(__file__).parents[2] / "notebooks/explore.ipynb"
SMALL = Design(checkpoint="mlp-digits", images=50, chips=2, program_error=0.3, rows=64, cols=32)


@pytest.fixture(scope="module")
def page():
    """A page that has drawn its first design."""
    found = Page(SMALL, ["mlp-digits", "resnet20-0.5-digits"])
    assert found.wait(60).complete
    return found


def choose(page, **values):
    """Move controls, and wait until all is drawn."""
    for name, value in values.items():
        page.controls[name].value = value
    return page.wait(60)


@pytest.mark.slow
@pytest.mark.parametrize(
    "design",
    [SMALL.replace(first_seed=3), Design(images=50, chips=2, layout="4x4", read_noise=0.05, unused="unformed")],
)
def test_what_is_shown_is_what_memlib_says(design):
    """Accuracy, cost and footprint, each called directly, with hardware written down here."""
    device = memlib.Device.preset("ihp_hfo2").replace(program_error=design.program_error, read_noise=design.read_noise)
    layout = {"layout": (4, 4), "order": "hwc"} if design.layout == "4x4" else {}
    mapping = memlib.Mapping(unused=design.unused, **layout)
    hardware = memlib.Hardware(device, memlib.Tile(design.rows, design.cols, 8, 8), mapping)
    model, (images, labels) = load_checkpoint(design.checkpoint), data_sets.load_images("digits", "test").head(50)
    calibration, _ = data_sets.load_images("digits", "train").head(256)
    view = views.shown(design)
    seeds = range(design.first_seed, design.first_seed + 2)
    expected = memlib.accuracy(model, hardware, images, labels, calibration, seeds)
    np.testing.assert_array_equal(view.hits.mean(1), expected)
    assert view.reference.mean() == correct(model, images, labels).double().mean()
    chip = memlib.map_network(model, hardware, calibration, design.first_seed)
    total = memlib.totals(memlib.cost(chip, images[:32], "isaac"))
    assert view.totals.energy == pytest.approx(total.energy, rel=1e-6)
    assert (view.totals.latency, view.totals.area) == (total.latency, total.area)
    assert view.energy.sum() == pytest.approx(total.energy, rel=1e-6)
    assert view.footprint.equals(memlib.footprint(model, (3, 32, 32), hardware))
    shown = {n.name: n.now for n in numbers(view, None)}
    assert shown["accuracy"] == percent(expected.mean())
    assert shown["energy"] == quantity(total.energy, "J")
    assert shown["tiles"] == f"{view.footprint['tiles'].sum():,}"


def test_stages_say_more_and_more():
    """First no chip, then one without an interval over chips; one chip is all where nothing is random."""
    steps = list(views.stages(SMALL.replace(first_seed=5)))
    assert [len(view.hits) for view in steps] == [0, 1, 2]
    assert [view.complete for view in steps] == [False, False, True]
    assert [view.accuracy is None for view in steps] == [True, True, False]
    assert steps[0].totals is None
    assert steps[0].energy.sum() == 0 < steps[1].energy.sum()
    assert views.shown(SMALL.replace(program_error=0.0)).hits.shape == (1, 50)


def test_nothing_leaks_from_one_design_to_another():
    """Whatever was shown before; arrays that are kept cannot be changed."""
    first = views.shown(SMALL)
    for change in ({"adc_bits": 2}, {"rows": 32}, {"device": "neurram"}, {"technology": "li2022"}, {"d2d": 0.4}):
        other = views.shown(SMALL.replace(**change))
        assert other.totals != first.totals or (other.hits != first.hits).any(), change
        again = views.shown(SMALL)
        assert (again.hits == first.hits).all()
        assert again.totals == first.totals
        assert again.footprint.equals(first.footprint)
    for kept in (first.reference, first.tile.roles, first.tile.cells):
        with pytest.raises(ValueError, match="read-only"):
            kept[:] = 0
    tiles, total = first.footprint["tiles"].sum(), first.totals
    first.footprint["tiles"], first.cost["energy"], first.hits[:] = 0, 0.0, False
    again = views.shown(SMALL)
    assert (again.footprint["tiles"].sum(), again.totals) == (tiles, total)
    assert again.hits.any()


def test_compared_pair_by_pair():
    """On the same images and seeds; else there is no interval of the difference."""
    first, other = views.shown(SMALL), views.shown(SMALL.replace(program_error=0.0))
    gain = other.gain(first)
    assert gain.mean == pytest.approx(other.hits.mean() - first.hits.mean())
    expected = difference_interval(other.hits, first.hits)
    assert (gain.low, gain.high) == pytest.approx((expected.low, expected.high))
    assert views.shown(SMALL.replace(first_seed=1)).gain(first) is None
    now = {n.name: n for n in numbers(other, first)}
    assert now["accuracy"].before == percent(first.hits.mean())
    assert now["tiles"].change == "unchanged"
    doubled = {n.name: n for n in numbers(views.shown(SMALL.replace(rows=32)), first)}
    assert doubled["area"].before == f"{1e6 * first.totals.area:.3g} mm²"


def test_tile_map():
    """The weights' signs by hand, and the chip's conductances; nothing in lines that are not selected."""
    weight = load_checkpoint("mlp-digits").get_submodule(views.default_layer("mlp-digits")).weight.detach()
    drawn = views.tile_map(SMALL.replace(tile=1))
    rows = slice(drawn.cut * 64, drawn.cut * 64 + 64)
    expected = weight.T[rows, drawn.group * 32 : drawn.group * 32 + 32]
    roles = drawn.roles[: expected.shape[0], : expected.shape[1]]
    assert ((roles == views.POSITIVE) == (expected > 0).numpy()).all()
    assert ((roles == views.NEGATIVE) == (expected < 0).numpy()).all()
    assert (np.isnan(drawn.cells) == (drawn.roles == views.NOT_SELECTED)).all()
    ideal = views.tile_map(SMALL.replace(tile=1, program_error=0.0))
    positive, negative = ideal.cells[:, : expected.shape[0], : expected.shape[1]]
    k = (1 / 4444 - 1 / 20e3) / weight.abs().max().item()
    np.testing.assert_allclose(positive - negative, k * expected.numpy(), atol=1e-12)
    offset = views.tile_map(SMALL.replace(scheme="offset"))
    assert offset.cells.shape == (1, 64, 33)
    assert views.tile_map(SMALL.replace(tile=1, adc_bits=5, r_wire=1.0)) is drawn
    last = views.tile_map(SMALL.replace(tile=10**6))
    assert last.number == last.count - 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scheme": "offset", "unused": "unformed"}, "unused='unformed': must be 'hrs'"),
        ({"adc_bits": 1}, "adc_bits=1: must be at least 2"),
        ({"states": 2, "scheme": "offset"}, "states=2: must be at least 3"),
        ({"chips": 1}, "chips=1: must be a whole number at least 2"),
        ({"layout": "4x"}, "layout='4x'"),
        ({"device": "foo"}, "device='foo'"),
        ({"layer": "foo"}, "layer='foo'"),
    ],
)
def test_impossible_designs(change, message):
    """The field and what is allowed."""
    with pytest.raises(ValueError, match=message.replace("'", ".")):
        SMALL.replace(**change)


def test_wires_that_take_too_long():
    """Refused before anything is computed."""
    design = Design(checkpoint="resnet20-0.5-digits", images=50, layout="sparse", r_wire=1.0)
    with pytest.raises(ValueError, match=r"r_wire=1.0: must be 0 here: exact wires .* take about \d+ s a chip"):
        next(views.stages(design))


def test_page_follows_its_controls(page):
    """Pictures and numbers change, with those before beside them, and come back when the choice does."""
    first = {name: bytes(picture.value) for name, picture in page.pictures.items()}
    assert all(value.startswith(b"\x89PNG") for value in first.values())
    before, text = page.view, page.numbers.value
    view = choose(page, rows=32)
    assert view.design == SMALL.replace(rows=32, layer=views.default_layer("mlp-digits"))
    assert all(picture.value != first[name] for name, picture in page.pictures.items())
    tiles = before.footprint["tiles"].sum()
    assert f"before {tiles:,}" in page.numbers.value != text
    accuracy = page.pictures["accuracy"].value
    assert choose(page, tile=1).tile.number == 1
    assert page.pictures["accuracy"].value == accuracy  # another tile is no other machine
    assert page.before is before
    assert (choose(page, tile=0, rows=64).hits == before.hits).all()
    assert page.pictures["cells"].value == first["cells"]


def test_page_shows_errors_in_words(page):
    """In place of the results, which come back with the next design."""
    choose(page, unused="unformed", scheme="offset")
    assert "unused=&#x27;unformed&#x27;: must be" in page.error.value
    assert page.numbers.layout.display == "none"
    assert "memlib-busy" not in page._dom_classes
    choose(page, unused="hrs")
    assert (page.error.value, page.numbers.layout.display) == ("", None)
    choose(page, scheme="differential")


def test_only_the_last_of_several_changes_counts(page, monkeypatch):
    """The controls' last word is shown; what they said while something else was computed is not computed."""
    begun, go_on, computed = threading.Event(), threading.Event(), []

    def stages(design):
        computed.append(design.adc_bits)
        begun.set()
        assert go_on.wait(60)
        yield from views.stages(design)

    monkeypatch.setattr(explorer_page, "stages", stages)
    for bits in (2, 3, 4, 5, 6):
        page.controls["adc_bits"].value = bits
        assert begun.wait(60)
    go_on.set()
    view = page.wait(60)
    assert computed == [2, 6]
    assert view.design.adc_bits == 6
    assert view.design == page.design
    choose(page, adc_bits=8)


def test_a_change_while_the_end_is_told(page, monkeypatch):
    """Between the end of a design and its being shown there is no gap for another one, which is computing then."""
    remove, changes, go_on = page.remove_class, [], threading.Event()

    def change_first(name):
        if not changes:  # another thread moves a slider just now
            changes.append(threading.Thread(target=lambda: setattr(page.controls["adc_bits"], "value", 5)))
            changes[0].start()
            changes[0].join(0.3)
        remove(name)

    def stages(design):
        assert design.adc_bits != 5 or go_on.wait(60)
        yield from views.stages(design)

    monkeypatch.setattr(explorer_page, "stages", stages)
    monkeypatch.setattr(page, "remove_class", change_first)
    page.controls["adc_bits"].value = 4
    page._last.result(60)
    changes[0].join(60)
    assert "memlib-busy" in page._dom_classes
    assert "computing" in page.status.value
    go_on.set()
    assert page.wait(60).design.adc_bits == 5
    assert "memlib-busy" not in page._dom_classes
    choose(page, adc_bits=8)


def test_pages_share_a_thread_and_end(page, monkeypatch):
    """Another page is another widget and no other thread; a closed one computes no further chip."""
    begun, go_on, seen = threading.Event(), threading.Event(), []

    def stages(design):
        for view in views.stages(design):
            seen.append(len(view.hits))
            begun.set()
            assert go_on.wait(60)
            yield view

    monkeypatch.setattr(explorer_page, "stages", stages)
    other = explorer_page.Page(SMALL, ["mlp-digits"])
    assert len([t for t in threading.enumerate() if t.name.startswith("explore")]) == 1
    assert begun.wait(60)
    other.close()
    go_on.set()
    assert other.wait(60) is None
    assert seen == [0]
    with pytest.raises(ValueError, match=r"checkpoint='mlp-digits': must be one of 'vgg8-digits'"):
        explorer_page.Page(SMALL, ["vgg8-digits"])


def test_controls_belong_together(page):
    """A preset sets its severities, and only cells with a law age; a network brings its layers, a machine its tiles."""
    page.controls["device"].value = "cmo_hfox"
    chosen = page.design
    assert (chosen.states, chosen.program_error, chosen.read_noise) == (32, 0.00525, 0.0034)
    assert (page.controls["retention_time"].disabled, page.controls["endurance_cycles"].disabled) == (False, True)
    page.controls["checkpoint"].value = "resnet20-0.5-digits"
    assert list(page.controls["layer"].options) == views.layer_names("resnet20-0.5-digits")
    assert page.controls["tile"].max == len(views.placement_of(page.design)) - 1
    assert page.wait(60).design == page.design
    assert choose(page, device="ihp_hfo2", checkpoint="mlp-digits", program_error=0.2).design.program_error == 0.2


def test_all_layouts_can_be():
    """Those that the slider offers."""
    for layout in LAYOUTS:
        assert len(views.placement_of(Design(layout=layout)))


def test_notebook():
    """Its networks exist and are small; its cells are short, and no picture of a page is committed with it."""
    parameters = declared_parameters(NOTEBOOK)
    assert all(manifest_entry(name)["recipe"]["data"] == "digits" for name in parameters["checkpoints"])
    for cell in nbformat.read(NOTEBOOK, 4).cells:
        if cell.cell_type == "code" and "parameters" not in cell.metadata.get("tags", []):
            assert len(cell.source.splitlines()) <= 8
    assert "widget-view" not in json.dumps(json.loads(NOTEBOOK.read_text()))
