"""Devices: their presets, and whether chips of them differ."""

import pytest
from cell_samples import BASE, STATIC, seen_weights

from memlib import Device
from memlib.cells.device_presets import PRESETS


def test_varies_tells_whether_chips_differ():
    """Against chips themselves: presets, new and a day old, and every effect that draws."""
    aged = {"retention_time": 86400.0}
    recombining = {"recombination_energy": 1.0, "retention_temperature": 400.0, "recombination_within": 0.1}
    devices = [Device.preset(name) for name in PRESETS]
    devices += [d.replace(**aged) for d in devices if d.retention_nu or d.retention_spread]
    devices += [BASE.replace(**{name: 0.1}) for name in (*STATIC, "read_noise")]
    devices += [BASE.replace(states=4), BASE.replace(retention_nu=0.1, **aged), BASE.replace(**recombining, **aged)]
    devices += [BASE.replace(retention_nu_sigma=0.1), BASE.replace(retention_nu_sigma=0.1, **aged)]
    devices += [BASE.replace(**recombining, recombination_between=0.1, **aged)]
    devices += [BASE.replace(retention_spread=0.1, retention_time=0.5)]  # younger than t0
    devices += [BASE.replace(recombination_energy=1.0, recombination_between=0.1)]
    for device in devices:
        one, other = (seen_weights(device, seed=seed)["a"] for seed in (0, 1))
        assert device.varies == bool((one != other).any()), device
    assert {device.varies for device in devices} == {False, True}


@pytest.mark.parametrize(("name", "resistances"), [
    ("10k_100k", (10e3, 100e3)), ("14k_300k", (14e3, 300e3)), ("14k_50M", (14e3, 50e6)),
])  # fmt: skip
def test_presets(name, resistances):
    device = Device.preset(name)
    assert (device.r_on, device.r_off) == resistances
    assert device.replace(**STATIC, states=4, read_noise=1.0).ideal() == device
