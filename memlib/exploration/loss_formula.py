"""A small formula for the accuracy that a design loses, fitted to simulated chips.

The device, the converters and the wires are taken for independent sources of error, whose squares add up (fitted to
ResNet-20 and VGG-8, the exponent comes out at 2.0 to 2.5; a sum of wires and the other errors fits half as well):

    error^2 = (severity/half)^2 + 4^(bits + growth log2(rows/128) - adc_bits) + (wire_share/wires)^2 + rest^2
    loss    = most / (1 + error^-slope)

severity is the root mean square error of a cell, relative to g_on - g_off; wire_share the part of the current that
wires cost, to first order (`first_order.lost_share`); most is what can be lost, the float network's accuracy less
chance. Each layout has its own half, the severity at which perfect converters and wires lose half of that, and bits, at
which a perfect device does so on tiles of 128 rows. wires is the share that does so by itself. slope says how steeply
it is lost, growth how many bits more a tile of twice the rows needs, and rest what is left with a perfect device, ADC
and wires: DACs, and the range of the ADC, which cuts the largest currents off.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import optimize

from memlib.base.checks import fail, in_range, whole
from memlib.evidence.intervals import Interval, seed_interval

#: Of a design, which the formula is a function of.
INPUTS = ("layout", "severity", "rows", "adc_bits", "wire_share")
FLOOR = 0.01  #: no loss is taken for more exact than this: else near-perfect designs would decide alone
#: Bounds of ln half, bits, slope, growth, rest and ln wires: far beyond what any network shows.
BOUNDS = {"half": (math.log(1e-4), math.log(10)), "bits": (-5, 15), "slope": (0.3, 15), "growth": (-2, 2)}
BOUNDS |= {"rest": (0, 2), "wires": (math.log(1e-3), math.log(10))}
#: Coefficients that all layouts share; the last is fitted only if some designs have wires.
SHARED = ("slope", "growth", "rest", "wires")
LOGS = ("half", "wires")  #: those that are fitted as logarithms
FOLDS = 5  #: of a cross-validation


@dataclass(frozen=True)
class Formula:
    """A fitted formula; the rows of `resampled` are fits to designs drawn again, with replacement."""

    layouts: tuple[str, ...]
    most: float
    fitted: np.ndarray  #: (ln half of each layout, bits of each layout, slope, growth, rest, and if fitted ln wires)
    resampled: np.ndarray  #: (resamples, the same)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the coefficients, in the order of `fitted`."""
        names = (*(f"{name}, {layout}" for name in ("half", "bits") for layout in self.layouts), *SHARED)
        return names[: len(self.fitted)]

    def coefficients(self) -> pd.DataFrame:
        """A row per coefficient: name, value, and low and high of its 95 % interval (percentiles of the resamples).

        Without resamples, low and high are NaN.
        """
        logs = np.array([name.startswith(LOGS) for name in self.names])
        fits = self.resampled if len(self.resampled) else np.full((1, len(self.fitted)), np.nan)
        low, high = np.percentile(fits, [2.5, 97.5], axis=0)
        columns = (np.where(logs, np.exp(part), part) for part in (self.fitted, low, high))
        return pd.DataFrame({"coefficient": self.names, **dict(zip(("value", "low", "high"), columns, strict=True))})

    def loss(self, designs: pd.DataFrame) -> np.ndarray:
        """Loss of accuracy, a fraction, (designs,), of designs with columns `INPUTS`.

        Raises ValueError for a layout, or wires, that the formula was not fitted to.
        """
        return _loss(self.fitted, self._inputs(designs), self.most)

    def losses(self, designs: pd.DataFrame) -> np.ndarray:
        """The same of each resampled fit, (resamples, designs)."""
        inputs = self._inputs(designs)
        losses = [_loss(row, inputs, self.most) for row in self.resampled]
        return np.array(losses).reshape(len(self.resampled), len(designs))

    def _inputs(self, designs: pd.DataFrame) -> tuple[np.ndarray, ...]:
        if "wires" not in self.names and (designs["wire_share"] > 0).any():
            fail("wire_share", float(designs["wire_share"].max()), "0: the formula was fitted to designs without wires")
        return _inputs(designs, self.layouts)


@dataclass(frozen=True)
class Linear:
    """The rival of the formula: ln odds of the loss, linear in logarithms, bits and wire share."""

    layouts: tuple[str, ...]
    most: float
    fitted: np.ndarray

    def loss(self, designs: pd.DataFrame) -> np.ndarray:
        """As `Formula.loss`, (designs,)."""
        return _linear(self.fitted, _inputs(designs, self.layouts), self.most)


def fit(designs: pd.DataFrame, most: float, resamples: int = 200, seed: int = 0) -> Formula:
    """Fit the formula by weighted least squares, and again to designs drawn with replacement.

    Args:
        designs: a row per design: `INPUTS`, loss (a fraction of all images) and error (its standard error).
        most: what can be lost, a fraction.
        resamples: fits to resampled designs; 0: no intervals.
        seed: of the resampling, which draws within each layout.

    Raises:
        ValueError: for missing columns, or fewer designs than coefficients.
    """
    layouts = _check(designs, most)
    resamples = whole("resamples", resamples, 0)
    fitted = _fit(_loss, designs, layouts, most, _best_start(designs, layouts, most))
    generator, groups = np.random.default_rng(seed), [g.index.to_numpy() for _, g in designs.groupby("layout")]
    drawn = [np.concatenate([generator.choice(g, len(g)) for g in groups]) for _ in range(resamples)]
    again = [_fit(_loss, designs.loc[rows], layouts, most, fitted) for rows in drawn]
    return Formula(layouts, most, fitted, np.array(again).reshape(resamples, len(fitted)))


def fit_linear(designs: pd.DataFrame, most: float) -> Linear:
    """Fit the linear rival; arguments and errors as of `fit`."""
    layouts = _check(designs, most)
    return Linear(layouts, most, _fit(_linear, designs, layouts, most, np.zeros(len(layouts) + 4)))


def held_out(designs: pd.DataFrame, most: float, by: str | None = None) -> pd.DataFrame:
    """Cross-validated predictions: each design's by fits to the other parts of them.

    Args:
        by: a column, such as "severity": all designs of the same value are a part. None: `FOLDS` parts, drawn at random
            so that each layout, and wires, are in all of them as evenly as can be.

    Returns:
        `designs` with the columns formula, linear (predicted losses) and fold.

    Raises:
        ValueError: as `fit`, and for a part whose layouts or wires no other has.
    """
    _check(designs, most)
    designs = designs.reset_index(drop=True)
    fold = pd.factorize(designs[by])[0] if by else _folds(designs)
    predicted = designs.assign(fold=fold, formula=0.0, linear=0.0)
    for held in np.unique(fold):
        inside, outside = designs[fold != held], designs[fold == held]
        predicted.loc[fold == held, "formula"] = fit(inside, most, 0).loss(outside)
        predicted.loc[fold == held, "linear"] = fit_linear(inside, most).loss(outside)
    return predicted


def _folds(designs: pd.DataFrame) -> np.ndarray:
    order = np.random.default_rng(0).permutation(len(designs))
    kinds = pd.factorize(pd.Series(zip(designs["layout"], designs["wire_share"] > 0, strict=True)))[0][order]
    fold = np.empty(len(designs), int)
    fold[order[np.argsort(kinds, kind="stable")]] = np.arange(len(designs)) % FOLDS
    return fold


def error_interval(residuals: np.ndarray) -> Interval:
    """Root mean square of residuals of held-out designs, with a 95 % interval (of the mean square, by Student's t).

    The interval is over designs. Where these share chips and images, it does not cover the luck of those.
    """
    if len(residuals) < 2:
        fail("residuals", residuals, "of at least 2 designs")
    i = seed_interval(np.asarray(residuals, float) ** 2, constant=True)
    return Interval(math.sqrt(i.mean), math.sqrt(max(0.0, i.low)), math.sqrt(i.high), i.n, 0)


def _check(designs: pd.DataFrame, most: float) -> tuple[str, ...]:
    for name in (*INPUTS, "loss", "error"):
        if name not in designs:
            fail("designs", list(designs), f"with a column {name!r}")
    in_range("most", most, 0.01, 1, "a fraction of all images")
    layouts = tuple(dict.fromkeys(designs["layout"]))
    least = 2 * len(layouts) + len(SHARED) + 1
    if (designs["wire_share"] < 0).any():
        fail("wire_share", float(designs["wire_share"].min()), "at least 0")
    for name in ("loss", "error"):
        if not np.isfinite(designs[name]).all():
            fail(name, designs[name].tolist(), "finite; a standard error needs two chips and two images")
    if len(designs) < least:
        fail("designs", len(designs), f"at least {least}, more than there are coefficients")
    return layouts


def _inputs(designs: pd.DataFrame, layouts: tuple[str, ...]) -> tuple[np.ndarray, ...]:
    for name in dict.fromkeys(designs["layout"]):
        if name not in layouts:
            fail("layout", name, f"one of {', '.join(layouts)}")
    layout = np.array([layouts.index(name) for name in designs["layout"]])
    return layout, *(designs[name].to_numpy(float) for name in INPUTS[1:])


def _loss(parameters: np.ndarray, inputs: tuple[np.ndarray, ...], most: float) -> np.ndarray:
    layout, severity, rows, bits, share = inputs
    own = (len(parameters) - 3) // 2 * 2  # coefficients of single layouts: those left are three, or with wires four
    half, needed = parameters[:own].reshape(2, -1)[:, layout]
    slope, growth, rest, *wires = parameters[own:]
    converter = 2.0 ** (needed + growth * np.log2(rows / 128) - bits)
    square = (severity / np.exp(half)) ** 2 + converter**2 + rest**2 + sum((share / np.exp(w)) ** 2 for w in wires)
    odds = slope * np.log(square) / 2
    return most / (1 + np.exp(-np.clip(odds, -50, 50)))


def _linear(parameters: np.ndarray, inputs: tuple[np.ndarray, ...], most: float) -> np.ndarray:
    layout, severity, rows, bits, share = inputs
    factors = np.stack((np.log(severity), np.log2(rows / 128), bits - 6, share), 1)
    odds = parameters[layout] + factors @ parameters[-4:]
    return most / (1 + np.exp(-np.clip(odds, -50, 50)))


def _best_start(designs: pd.DataFrame, layouts: tuple[str, ...], most: float) -> np.ndarray:
    """The best of a few starts, whose values all layouts share."""
    inputs, loss, n = _inputs(designs, layouts), designs["loss"].to_numpy(), len(layouts)
    wires = [math.log(0.1)] * bool((designs["wire_share"] > 0).any())
    pairs = itertools.product((0.01, 0.03, 0.1, 0.3), (2, 4, 6))
    starts = [np.array([*[math.log(half)] * n, *[bits] * n, 3.0, 0.0, 0.2, *wires]) for half, bits in pairs]
    return min(starts, key=lambda start: float(((_loss(start, inputs, most) - loss) ** 2).sum()))


def _fit(form: Callable, designs: pd.DataFrame, layouts: tuple[str, ...], most: float, start: np.ndarray) -> np.ndarray:
    inputs, loss = _inputs(designs, layouts), designs["loss"].to_numpy(float)
    scale = np.hypot(designs["error"].to_numpy(float), FLOOR)
    limits = [(-np.inf, np.inf)] * len(start)
    if form is _loss:
        n = len(layouts)
        limits = [*[BOUNDS["half"]] * n, *[BOUNDS["bits"]] * n, *(BOUNDS[name] for name in SHARED)][: len(start)]
    bounds = tuple(zip(*limits, strict=True))
    return optimize.least_squares(lambda p: (form(p, inputs, most) - loss) / scale, start, bounds=bounds).x
