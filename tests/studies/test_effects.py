"""What studies of noise share: points, and the chips that they stand for."""

import pytest
import torch

from memlib.cells.device import Device
from memlib.chip.network import map_network
from memlib.chip.recalibration import recalibrate
from memlib.evidence.answers import pack
from memlib.layers.classification import correct
from memlib.mapping.hardware import Hardware
from memlib.mapping.point_fields import FROZEN, hardware_of
from memlib.mapping.tile import Tile
from memlib.studies.shared.effects import EFFECTS, evaluate, loss_of, make_point, seeds_of, settings
from memlib.studies.shared.trained_networks import _drawn, prepared, shared_fields, split
from memlib.sweeps.points import tasks
from memlib.tiles.input_record import record_inputs
from memlib.zoo import data_sets
from memlib.zoo.checkpoints import load_checkpoint

NETWORK = "vgg8-digits"


def test_what_is_off_leaves_no_trace():
    """All effects share one baseline, of one chip; random effects have all seeds, the others one."""
    points = [make_point(NETWORK, 10, effect, 0) for effect in EFFECTS]
    assert len(tasks(points, evaluate, seeds_of(3))) == 1
    severities = {"states": 8, "dac_bits": 4, "adc_bits": 4, "endurance": 1e6, "retention": 1e4}
    points = [make_point(NETWORK, 10, effect, severities.get(effect, 0.1)) for effect in EFFECTS]
    alike = {"states", "endurance", "iv", "transistors", "wires", "dac_bits", "adc_bits"}
    assert len(tasks(points, evaluate, seeds_of(3))) == len(alike) + 3 * (len(EFFECTS) - len(alike))
    defaults = make_point(NETWORK, 10, recalibration="none", own_images=True, layer=None)
    assert defaults == {**shared_fields(NETWORK, 10), "unused": "unformed", "device_label": "10k_100k"}


@pytest.mark.slow
def test_a_point_is_a_chip():
    """Layout, effect in one layer, ADC ranges of the chip and recalibration, as by hand with `map_network`."""
    model, (images, labels) = load_checkpoint(NETWORK), data_sets.load_images("digits", "test").head(100)
    calibration = data_sets.load_images("digits", "train").head(256)[0]
    point = make_point(NETWORK, 100, "program_error", 1.0, recalibration="gain", layer="0", adc_calibration="chip")
    noisy = Hardware(Device(program_error=1.0), Tile(adc_calibration="chip"))
    by_layer = {"*": noisy.replace(device=Device()), "0": noisy}
    chip = map_network(model, by_layer, record_inputs(model, calibration), seed=2)
    recalibrate(chip, model, calibration, "gain")
    assert evaluate(point, 2)["correct"] == pack(correct(chip, images, labels).numpy())
    assert evaluate(point, 2) != evaluate({**point, "recalibration": "none"}, 2)


@pytest.mark.slow
def test_chips_recalibrated_on_images_of_their_own():
    """Chips of an ideal device then differ, each the same when it is made again; other choices leave no trace."""
    point = make_point(NETWORK, 200, recalibration="batch_norm", own_images=True, adc_bits=4)
    assert [*seeds_of(3)(point)] == [0, 1, 2]
    own = make_point("vgg8-digits", 20, device="neurram")  # no effect is added, but its chips differ
    assert [*seeds_of(3)(own)] == [0, 1, 2]
    assert [*seeds_of(3)(make_point("vgg8-digits", 20))] == [0]
    found = [evaluate(point, seed)["correct"] for seed in (0, 1, 0)]
    assert found[0] == found[2] != found[1]
    shared = make_point(NETWORK, 200, recalibration="batch_norm", adc_bits=4)
    assert evaluate(shared, 0)["correct"] == evaluate(shared, 1)["correct"]
    assert make_point(NETWORK, 10, own_images=True) == make_point(NETWORK, 10)
    training = data_sets.load_images("digits", "train")
    drawn = _drawn(prepared(*split(shared_fields(NETWORK, 200))[0]), 5)
    assert len(drawn) == 256
    pixels = {tuple(row) for row in data_sets.normalise(training.pixels).flatten(1).tolist()}
    assert all(tuple(row) in pixels for row in drawn.flatten(1).tolist())
    assert len({tuple(row) for row in drawn.flatten(1).tolist()}) >= 255  # an image may be there twice


@pytest.mark.parametrize(
    ("field", "value"),
    [("effect", "rain"), ("recalibration", "hope"), ("field", None), ("layout", "round"), ("layer", "none such")],
)
def test_points_that_cannot_be(field, value):
    """They are refused when they are made."""
    with pytest.raises(ValueError, match=field):
        make_point(NETWORK, 10, **{field: value})


def test_one_layer_has_effects_of_the_device_only():
    """Converters are those of all layers."""
    with pytest.raises(ValueError, match="layer='0': must be None for ADC gain and offset"):
        make_point(NETWORK, 10, "adc_errors", 0.1, layer="0")


def test_settings_differ_in_points_and_words():
    """Four settings, four baselines, four descriptions."""
    chosen = settings(["none", "batch_norm"], ["design", "chip"])
    losses = [loss_of(NETWORK, 10, "d2d", 0.1, setting) for setting in chosen]
    assert len({str(loss.baseline) for loss in losses}) == len({str(setting) for setting in chosen}) == 4
    assert [str(chosen[0]), str(chosen[3])] == ["", " (batch norm recalibrated, ADC ranges of the chip)"]


@pytest.mark.parametrize("effect", sorted(EFFECTS))
def test_which_effects_differ_from_chip_to_chip(effect):
    """What two chips compute differs where `varies` says so, and is the same to the bit where it does not."""
    strong = {
        "states": 4,
        "dac_bits": 2,
        "adc_bits": 2,
        "endurance": 1e6,
        "retention": 1e5,
        "transistors": 1e4,
        "wires": 1,
    }
    model = torch.nn.Sequential(torch.nn.Linear(4, 3, bias=False))
    x = torch.linspace(-1, 1, 20).view(5, 4)
    point = make_point(NETWORK, 10, effect, strong.get(effect, 0.4))
    hardware = hardware_of({name: value for name, value in point.items() if name in FROZEN})
    first, second = (map_network(model, hardware, x, seed)(x) for seed in (0, 1))
    assert torch.equal(first, second) != hardware.varies


@pytest.mark.parametrize("effect", sorted(set(EFFECTS) - {"wires"}))  # these all cells load
def test_which_effects_unused_cells_have(effect):
    """Pairs of cells at HRS between groups, against none there: results differ where `of_unused_cells` says so."""
    severity = {"states": 4, "dac_bits": 2, "adc_bits": 2, "endurance": 1e6, "retention": 1e5, "transistors": 1e4}
    model = torch.nn.Sequential(torch.nn.Conv1d(8, 4, 1, groups=4, bias=False)).double()
    x = torch.linspace(-1, 1, 40, dtype=torch.float64).view(5, 8, 1)
    found = []
    for unused in ("hrs", "unformed"):
        point = make_point(NETWORK, 10, effect, severity.get(effect, 0.4), unused=unused)
        hardware = hardware_of({name: value for name, value in point.items() if name in FROZEN})
        found.append(map_network(model, hardware, x, 0)(x))
    assert torch.allclose(*found, rtol=0, atol=1e-9) != EFFECTS[effect].of_unused_cells
