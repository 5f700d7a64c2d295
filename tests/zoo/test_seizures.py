"""Made-up EEG against what it is said to be, and its detector."""

import numpy as np
import pytest
import torch
from scipy import signal

from memlib import Hardware, Tile, map_network
from memlib.zoo import seizures
from memlib.zoo.data_sets import checksum


def band(x, low, high):
    """Mean spectral power between two frequencies, of each window, over channels."""
    frequencies, power = signal.periodogram(x.numpy(), seizures.RATE)
    return power[..., (frequencies >= low) & (frequencies <= high)].mean((1, 2))


def test_windows():
    """Shape, labels, and that a longer set begins with a shorter one; other seeds are others."""
    x, y = seizures.windows(300, 5)
    again, _ = seizures.windows(20, 5)
    assert x.shape == (300, 4, 256)
    assert x.dtype == torch.float32
    assert y.tolist() == [0, 1] * 150
    assert torch.equal(x[:20], again)
    assert not torch.equal(seizures.windows(20, 6)[0], again)
    with pytest.raises(ValueError, match="windows=1"):
        seizures.windows(1, 0)


def test_background_is_pink():
    """Power falls as 1/f: a slope of -1 in logarithms, and a root mean square of 1."""
    noise = seizures._pink(np.random.default_rng(0), 400, 4)
    frequencies, power = signal.periodogram(noise, seizures.RATE)
    inside = slice(1, -1)
    slope, _ = np.polyfit(np.log(frequencies[inside]), np.log(power[..., inside].mean((0, 1))), 1)
    assert slope == pytest.approx(-1, abs=0.05)
    assert noise.std(-1) == pytest.approx(1)


def test_seizures_are_spike_and_wave_at_three_hertz():
    """Their spectrum has a peak at 2.5 to 4 Hz with harmonics; one number of it alone does not tell them apart."""
    x, y = seizures.windows(2000, 0)
    ratio = {low: np.median(band(x[y == 1], low, high)) / np.median(band(x[y == 0], low, high)) for low, high in (
        (2.5, 4), (5, 8)
    )}  # fmt: skip
    assert ratio[2.5] > 2
    assert ratio[5] > 1.2
    power = band(x, 2.5, 4)
    best = max(((power > level) == (y.numpy() == 1)).mean() for level in np.quantile(power, np.linspace(0.2, 0.8, 61)))
    assert 0.6 < best < 0.85
    wave = seizures._spike_and_wave(np.random.default_rng(0), 50, np.arange(256) / 64)
    assert (wave[:, -64:].std(1) > 0.3).all()  # bursts last to the end of their window


def test_detector():
    """The committed file is that of its manifest, finds what the manifest says, and is torch's on an ideal chip."""
    entry = seizures.manifest()
    assert checksum(seizures.CHECKPOINT) == entry["sha256"]
    assert entry["training"] == seizures.TRAINING
    found = seizures.measured(seizures.load(), 1000)
    assert found["sensitivity"] == pytest.approx(entry["test"]["sensitivity"], abs=0.03)
    assert found["false_positive_rate"] == pytest.approx(entry["test"]["false_positive_rate"], abs=0.03)
    model, x = seizures.load().double(), seizures.windows(20, 9)[0].double()
    chip = map_network(model, Hardware(tile=Tile(dac_bits=None, adc_bits=None)))
    torch.testing.assert_close(chip(x), model(x).detach(), rtol=0, atol=1e-10)
    assert list(chip.layers) == ["features.0", "features.3", "gru.l0.input", "gru.l0.hidden", "classify"]


@pytest.mark.slow
def test_training_is_reproducible_and_learns():
    """Twice the same from the same seed; torch's random state is left alone, and an untrained one knows nothing."""
    before = torch.get_rng_state()
    first, second = (seizures.train(epochs=6, count=1024) for _ in range(2))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not first.training
    rates = seizures.measured(first, 400)
    assert rates["sensitivity"] - rates["false_positive_rate"] > 0.5


def test_rates():
    """By hand: two of three seizures found, one false alarm in two."""
    hits, labels = np.array([1.0, 0, 1, 1, 0]), np.array([1, 1, 1, 0, 0])
    found, false = seizures.rates(hits, labels)
    assert (found.tolist(), false.tolist()) == ([1, 0, 1], [0, 1])


def test_damaged_checkpoint(tmp_path, monkeypatch):
    """Another file than that of the manifest is refused, with what to do."""
    copy, expected = tmp_path / "seizures.safetensors", seizures.manifest()["sha256"]
    content = bytearray(seizures.CHECKPOINT.read_bytes())
    content[-1] ^= 1
    copy.write_bytes(content)
    monkeypatch.setattr(seizures, "CHECKPOINT", copy)
    with pytest.raises(ValueError, match=r"python -m memlib\.zoo\.seizures"):
        seizures.load(expected)
