"""Hardware: bad values of its parts, from flat fields, and for layers by name."""

import pytest
from messages import raises
from torch import nn

from memlib import Device, Hardware, Mapping, Tile, footprint, map_network
from memlib.costs.cost_table import cost_of

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("kind", [Device, Tile, Mapping, Hardware])
def test_unknown_field(kind):
    """The message lists the fields that exist, for new configurations and for changed ones."""
    allowed = [kind.__name__, "sigma=0.1", "unknown field; allowed: ", next(iter(kind.__annotations__))]
    raises(TypeError, lambda: kind(sigma=0.1), *allowed)
    raises(TypeError, lambda: kind().replace(sigma=0.1), *allowed)


@pytest.mark.parametrize(
    ("kind", "fields", "allowed"),
    [
        (Device, {"r_on": 0}, "above 0"),
        (Device, {"r_on": "10k"}, "number above 0"),
        (Device, {"r_off": INF}, "finite"),
        (Device, {"r_off": 5e3}, "above r_on=10000.0"),
        (Device, {"r_off": 10e3}, "above r_on=10000.0"),
        (Device, {"states": 1}, "at least 2, or None"),
        (Device, {"states": 4.0}, "whole number"),
        (Device, {"states": True}, "whole number"),
        (Device, {"program_error": -0.1}, "a relative sigma (0.02 is 2 %) from 0 to 1"),
        (Device, {"program_error": 2}, "a relative sigma (0.02 is 2 %) from 0 to 1"),
        (Device, {"d2d_on": NAN}, "from 0 to 10"),
        (Device, {"d2d_off": INF}, "from 0 to 10"),
        (Device, {"read_noise": True}, "a relative sigma"),
        (Device, {"read_noise": None}, "a relative sigma"),
        (Device, {"stuck_on": 1.5}, "a probability from 0 to 1"),
        (Device, {"stuck_off": -0.5}, "a probability from 0 to 1"),
        (Device, {"unformed": NAN}, "a probability from 0 to 1"),
        (Device, {"program_error_to": "G"}, "'range', 'g'"),
        (Device, {"read_noise_to": None}, "'g', 'range'"),
        (Device, {"d2d_distribution": "uniform"}, "'lognormal', 'normal'"),
        (Device, {"v0": 0}, "above 0"),
        (Device, {"v0_off": 0.2}, "None where v0 is None"),
        (Device, {"retention_time": -1}, "at least 0"),
        (Device, {"retention_nu": 5}, "an exponent from -3 to 3"),
        (Device, {"retention_spread": -0.1}, "a sigma"),
        (Device, {"retention_t0": 0}, "above 0"),
        (Device, {"retention_energy": "1 eV"}, "eV from 0 to 5"),
        (Device, {"retention_temperature": 25}, "kelvin from 100 to 2000"),
        (Device, {"retention_time": 1e61}, "at most 1e60 t0"),
        (Device, {"retention_time": 3600}, "recombination_energy are 0: nothing would change"),
        (Device, {"recombination_energy": -1}, "eV from 0 to 5"),
        (Device, {"recombination_within": 0.1}, "0 where recombination_energy is 0"),
        (Device, {"recombination_tail": 1.5}, "a probability from 0 to 1"),
        (Device, {"recombination_rate": 0}, "above 0"),
        (Device, {"endurance_cycles": INF}, "at least 0"),
        (Device, {"endurance_cycles": 1e6}, "endurance_off are 0: nothing would change"),
        (Device, {"retention_temperature": 358}, "where retention_energy is 0"),
        (Device, {"endurance_onset": 0}, "above 0"),
        (Device, {"endurance_on": -0.1}, "an exponent from 0 to 3"),
        (Tile, {"adc_bits": 0}, "from 1 to 24, or None"),
        (Tile, {"r_row": -1}, "a resistance in ohm, at least 0"),
        (Tile, {"r_sense": None}, "a resistance in ohm, at least 0"),
        (Tile, {"adc_gain_error": -0.1}, "a relative sigma"),
        (Tile, {"bit_serial": 1}, "True or False"),
        (Mapping, {"slices": 0}, "at least 1"),
        (Tile, {"adc_bits": 1}, "at least 2"),
        (Tile, {"adc_bits": 25}, "from 1 to 24, or None"),
        (Tile, {"dac_bits": 8.0}, "whole number"),
        (Tile, {"dac_bits": -1}, "from 1 to 24, or None"),
        (Tile, {"rows": 0}, "at least 1"),
        (Tile, {"rows": None}, "at least 1"),
        (Tile, {"cols": True}, "at least 1"),
        (Tile, {"adc_range": "max"}, "'calibrated', 'full'"),
        (Tile, {"adc_calibration": "seed"}, "'design', 'chip'"),
        (Tile, {"converter": "row"}, "'pair', 'column'"),
        (Tile, {"adc_quantile": 99.9}, "a quantile from 0 to 1"),
        (Tile, {"v_read": 0}, "above 0"),
        (Mapping, {"scheme": "dual"}, "'differential', 'offset'"),
        (Mapping, {"order": "random"}, "'packed', 'chw'"),
        (Mapping, {"unused": "lrs"}, "'hrs', 'unformed'"),
        (Mapping, {"w_max": 1.0}, "'layer', 'column'"),
    ],
    ids=str,
)
def test_wrong_value(kind, fields, allowed):
    """The message names field, value and what is allowed, for new configurations and for changed ones."""
    (name, value), = fields.items()  # fmt: skip
    raises(ValueError, lambda: kind(**fields), f"{name}={value!r}", allowed)
    raises(ValueError, lambda: kind().replace(**fields), f"{name}={value!r}", allowed)


def test_wrong_combinations():
    """Fields that do not go together."""
    raises(ValueError, lambda: Mapping(scheme="offset", unused="unformed"), "unused='unformed'", "'hrs'", "offset")
    lossy = Device(recombination_energy=1.2)
    raises(ValueError, lambda: lossy.replace(recombination_tail=0.1), "recombination_tail_energy=0.0", "above 0")
    raises(ValueError, lambda: lossy.replace(recombination_tail_energy=1.0), "tail_energy=1.0", "must be 0")
    late = {"recombination_tail": 0.1, "recombination_tail_energy": 1.3}
    raises(ValueError, lambda: lossy.replace(**late), "tail_energy=1.3", "at most recombination_energy=1.2")
    assert lossy.replace(retention_time=1.0, retention_temperature=358.0)
    drifting = {"retention_time": 1.0, "retention_nu": 0.1, "retention_temperature": 358.0}
    raises(ValueError, lambda: lossy.replace(**drifting), "retention_temperature=358.0", "retention_energy is 0")
    worn = {"endurance_cycles": 1e30, "endurance_on": 3.0}
    raises(ValueError, lambda: Device(**worn), "endurance_cycles=1e+30", "at most 1e20 times endurance_onset")
    offset = Mapping(scheme="offset")
    raises(ValueError, lambda: Hardware(Device(states=2), mapping=offset), "states=2", "at least 3", "offset")
    raises(TypeError, lambda: Hardware(device="10k_100k"), "device='10k_100k'", "memlib.Device")
    raises(ValueError, lambda: Tile(adc_bits=None, adc_offset_error=0.1), "adc_offset_error=0.1", "without an ADC")
    raises(ValueError, lambda: Tile(dac_bits=None, bit_serial=True), "bit_serial=True", "without a DAC")
    raises(ValueError, lambda: Hardware(mapping=Mapping(slices=2)), "states=None", "slices=2")
    raises(ValueError, lambda: Hardware(Device(states=32), mapping=Mapping(slices=11)), "slices=11", "states=32")
    raises(ValueError, lambda: Hardware(Device(v0=0.01)), "v0=0.01", "a twentieth of v_read=0.3")
    raises(ValueError, lambda: Hardware(Device(v0=5.0, v0_off=0.07)), "v0_off=0.07", "half as much")
    serial = Hardware(tile=Tile(bit_serial=True))
    raises(ValueError, lambda: cost_of(nn.Linear(2, 1), (2,), serial, {"": 1.0}), "array_power", "bit-serial")
    raises(ValueError, lambda: footprint(nn.Linear(2, 1), (2,), Hardware(), signed=["a"]), "'a'", "one of ''")
    raises(ValueError, lambda: Device.preset("10k"), "preset='10k'", "'10k_100k', '14k_300k', '14k_50M'")


def test_hardware_by_layer():
    """Unknown and missing layers, and things that are no hardware."""
    network, h = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)), Hardware()
    for call in (lambda hardware: map_network(network, hardware), lambda hardware: footprint(network, (4,), hardware)):
        raises(ValueError, lambda call=call: call({"2": h, "*": h}), "unknown layers ['2']", "['0', '1']")
        raises(ValueError, lambda call=call: call({"1": h}), "layers ['0'] missing", "'*'")
        raises(TypeError, lambda call=call: call({"*": h.device}), "memlib.Hardware")
        raises(TypeError, lambda call=call: call(h.tile), "memlib.Hardware")


def test_hardware_of_flat_fields():
    found = Hardware.of(device="ihp_hfo2", program_error=0.02, rows=64, layout="4x4", unused="unformed")
    device = Device.preset("ihp_hfo2").replace(program_error=0.02)
    assert found == Hardware(device, Tile(rows=64), Mapping((4, 4), order="hwc", unused="unformed"))
    assert Hardware.of() == Hardware()
    assert Hardware.of(layout="4x4, offset", scheme="differential", order="chw").mapping == Mapping((4, 4), order="chw")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"program_eror": 0.1}, "program_eror=0.1: must be a field of Device, Tile or Mapping, such as program_error,"),
        ({"zzz": None}, "zzz=None: must be a field of Device, Tile or Mapping: r_on, r_off, .*, slices"),
        ({"device": "mine"}, "device='mine': must be one of '10k_100k'"),
        ({"layout": "0x4"}, "layout='0x4': must be 'dense', 'sparse', or a window such as '4x4'"),
        ({"layout": (4, 4)}, r"layout=\(4, 4\): must be 'dense'"),
        ({"layout": "sparse,unformed"}, "layout='sparse,unformed'"),
        ({"layout": "sparse, formed"}, "layout 'sparse, formed': word='formed': must be one of .*'unformed'"),
        ({"rows": 0}, "rows=0"),
    ],
)
def test_what_cannot_be_is_named(fields, message):
    with pytest.raises(ValueError, match=message):
        Hardware.of(**fields)
