"""Made-up EEG and a small network that finds seizures in it: a problem of one dimension for recurrent layers on tiles.

The signals are synthetic, no recording of anybody: a background of 1/f noise with what disturbs detectors, and in
half of all windows bursts of spike-and-wave complexes at about 3 Hz, the pattern of absence seizures. What is found on
them says how hardware compares with itself, and nothing of how well a detector would do on patients.
"""

import argparse
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from memlib.base.checks import whole
from memlib.base.files import replacing, write_whole
from memlib.base.progress_bar import progress
from memlib.zoo.data_sets import checksum

RATE = 64  #: samples per second
SAMPLES = 4 * RATE  #: of a window
CHANNELS = 4
BLOCK = 250  #: windows that are drawn together
CHECKPOINT = Path(__file__).parent / "weights" / "seizures.safetensors"
TRAINING: dict[str, Any] = {"windows": 4096, "seed": 1, "epochs": 20, "batch": 64, "lr": 4e-3}
CALIBRATION_SEED, TEST_SEED = 2, 3  #: seeds of the windows that calibrate converters, and that test


def windows(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Windows of 4 s at 64 Hz, and which of them hold a seizure: every second one.

    Amplitudes are relative to the root mean square of the 1/f noise. In both classes there may be an alpha rhythm (8 to
    12 Hz) and slow deflections as of blinks; windows without a seizure may hold up to three single spikes, or a rhythm
    of 2 to 4 Hz without spikes.

    Returns:
        (n, 4, 256) float32; (n,) int64, 1 for a seizure. A longer set begins with the shorter ones.
    """
    n = whole("windows", n, 2)
    seed = whole("seed", seed, 0)
    x = np.concatenate([_block(np.random.default_rng([seed, block])) for block in range(-(-n // BLOCK))])
    return torch.from_numpy(x[:n]).float(), torch.arange(n) % 2


def _block(rng: np.random.Generator) -> np.ndarray:
    n, time = BLOCK, np.arange(SAMPLES) / RATE
    ill = np.arange(n) % 2 == 1
    x = 0.8 * _pink(rng, n, CHANNELS) + 0.6 * _pink(rng, n, 1)
    alpha = np.sin(2 * np.pi * (rng.uniform(8, 12, (n, 1)) * time + rng.random((n, 1))))
    x += _placed(rng, alpha * rng.uniform(0, 1, (n, 1)), present=rng.random(n) < 0.5)
    x += _placed(rng, _bumps(rng, n, time, width=0.2), present=rng.random(n) < 0.5)
    x += _placed(rng, _bumps(rng, n, time, width=0.02), present=~ill & (rng.random(n) < 0.5))
    delta = np.sin(2 * np.pi * (rng.uniform(2, 4, (n, 1)) * time + rng.random((n, 1))))
    x += _placed(rng, delta * rng.uniform(0.5, 1.5, (n, 1)), present=~ill & (rng.random(n) < 0.4))
    return x + _placed(rng, _spike_and_wave(rng, n, time), present=ill)


def _pink(rng: np.random.Generator, n: int, channels: int) -> np.ndarray:
    """1/f noise of unit root mean square, from 0.25 Hz on: (n, channels, samples)."""
    frequencies = np.arange(1, SAMPLES // 2 + 1)
    spectrum = rng.standard_normal((2, n, channels, len(frequencies))) / np.sqrt(frequencies)
    noise = np.fft.irfft(np.concatenate((np.zeros((n, channels, 1)), spectrum[0] + 1j * spectrum[1]), -1), SAMPLES)
    return noise / noise.std(-1, keepdims=True)


def _placed(rng: np.random.Generator, wave: np.ndarray, present: np.ndarray) -> np.ndarray:
    """A wave (n, samples) as the electrodes see it, each with a gain of its own, in the windows that have it."""
    return wave[:, None] * rng.uniform(0.4, 1, (len(wave), CHANNELS, 1)) * present[:, None, None]


def _bumps(rng: np.random.Generator, n: int, time: np.ndarray, width: float) -> np.ndarray:
    """One to three single deflections of either sign, of a width in seconds: (n, samples)."""
    at, size = rng.uniform(0, 4, (n, 3, 1)), rng.uniform(1, 3, (n, 3, 1)) * rng.choice([-1, 1], (n, 3, 1))
    size *= np.arange(3)[:, None] < rng.integers(1, 4, (n, 1, 1))
    return (size * np.exp(-(((time - at) / width) ** 2))).sum(1)


def _spike_and_wave(rng: np.random.Generator, n: int, time: np.ndarray) -> np.ndarray:
    """A burst that begins within two seconds, at 2.5 to 4 Hz and slowing down by a tenth: (n, samples)."""
    onset, rate = rng.uniform(0, 2, (n, 1)), rng.uniform(2.5, 4, (n, 1))
    since = np.maximum(time - onset, 0)
    phase = (rate * (since - 0.0125 * since**2) + rng.random((n, 1))) % 1
    spike, wave = np.exp(-(((phase - 0.1) / 0.04) ** 2)), np.sin(np.pi * np.clip((phase - 0.2) / 0.8, 0, 1))
    return rng.uniform(1, 2.5, (n, 1)) * (1.5 * spike - wave + 0.4) * (time >= onset)


class Detector(nn.Module):
    """Two convolutions that thin out time, a GRU over what is left of it, and a linear layer on its last state."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv1d(CHANNELS, 16, 7, stride=4, padding=3, bias=False), nn.BatchNorm1d(16), nn.ReLU(),
            nn.Conv1d(16, 16, 5, stride=2, padding=2, bias=False), nn.BatchNorm1d(16), nn.ReLU(),
        )  # fmt: skip
        self.gru = nn.GRU(16, 24, batch_first=True)
        self.classify = nn.Linear(24, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 4, samples) -> (n, 2), the second larger for a seizure."""
        states, _ = self.gru(self.features(x).transpose(1, 2))
        return self.classify(states[:, -1])


def rates(hits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sensitivity and false alarms: of answers (..., windows), right or wrong, the parts that count for each."""
    return hits[..., labels == 1], 1 - hits[..., labels == 0]


def load(sha256: str | None = None) -> nn.Module:
    """The committed detector, in eval mode. Raises ValueError if its file has another SHA-256; None: the manifest's."""
    sha256 = sha256 or manifest()["sha256"]
    if checksum(CHECKPOINT) != sha256:
        if sha256 == manifest()["sha256"]:
            what = "differs from its manifest's; train it again: python -m memlib.zoo.seizures"
        else:
            what = f"is not {sha256}, that of the point's detector; make the sweep's points again"
        raise ValueError(f"{CHECKPOINT}: SHA-256 {what}")
    model = Detector()
    model.load_state_dict(load_file(CHECKPOINT))
    return model.eval()


@lru_cache
def manifest() -> dict:
    """Checksum, training and accuracy of the committed detector."""
    return json.loads(CHECKPOINT.with_suffix(".json").read_text())


def train(epochs: int = TRAINING["epochs"], count: int = TRAINING["windows"]) -> nn.Module:
    """A detector trained from its seed; equal on one machine with the same threads, and nearly so elsewhere."""
    x, y = windows(count, TRAINING["seed"])
    generator = torch.Generator().manual_seed(TRAINING["seed"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(TRAINING["seed"])
        model = Detector()
    steps = epochs * (count // TRAINING["batch"])
    optimizer = torch.optim.AdamW(model.parameters(), lr=TRAINING["lr"], weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, TRAINING["lr"], total_steps=steps)
    for _ in progress(range(epochs), label="epochs"):
        for chosen in torch.randperm(count, generator=generator).split(TRAINING["batch"])[: steps // epochs]:
            loss = nn.functional.cross_entropy(model(x[chosen]), y[chosen])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return model.eval()


@torch.inference_mode()
def measured(model: nn.Module, n: int = 5000) -> dict[str, float]:
    """Sensitivity and false positive rate of a network on the first test windows of so many."""
    x, y = windows(n, TEST_SEED)
    hits = (torch.cat([model(part) for part in x.split(500)]).argmax(1) == y).double().numpy()
    found, false = rates(hits, y.numpy())
    return {"sensitivity": round(float(found.mean()), 4), "false_positive_rate": round(float(false.mean()), 4)}


def main() -> int:
    """Command line: train the detector and write its checkpoint; returns the exit code."""
    argparse.ArgumentParser(prog="python -m memlib.zoo.seizures", description=main.__doc__).parse_args()
    torch.set_num_threads(1)
    model = train()
    with replacing(CHECKPOINT) as part:
        save_file({name: value.contiguous() for name, value in model.state_dict().items()}, part)
    entry = {"sha256": checksum(CHECKPOINT), "training": TRAINING, "test": measured(load(checksum(CHECKPOINT)))}
    write_whole(CHECKPOINT.with_suffix(".json"), json.dumps(entry, indent=1, sort_keys=True) + "\n")
    print(json.dumps(entry, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
