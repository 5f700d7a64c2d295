"""Retention of a filament: its oxygen vacancies recombine one by one, each over a barrier of its own.

A vacancy that needs the energy E to recombine does so at the rate nu exp(-E/kT), after Gao et al., IEEE EDL 32, 276
(2011). So it is there after a time t with the probability exp(-nu t exp(-E/kT)). If the energies of a cell's
vacancies are normally distributed, the fraction that is left is

    S(t) = P(G + (sigma/kT) Z < (E - kT ln(nu t))/kT),   G standard Gumbel, Z standard normal:

the distribution function of a sum. Without sigma this is one exponential of time; where sigma is many kT it is the
normal distribution function of E - kT ln(nu t). So a filament dissolves over many decades, evenly in log time.
"""

import math
from functools import lru_cache

import numpy as np

BOLTZMANN = 8.617333262e-5  #: Boltzmann's constant, eV/K
GUMBEL_TAILS = (-4.0, 28.0)  #: where the table of S ends: beyond, it is 0 or 1 to 1e-12
NORMAL_TAIL = 7.5
TABLE, NODES = 4001, 2001  #: points of the table, and of the integral over Z in each


def demarcation_energy(time: float, temperature: float, rate: float) -> float:
    """kT ln(nu t), eV: vacancies of less energy have recombined, those of more are still there.

    The time is in s, the temperature in K, and the rate nu, the attempt frequency, in 1/s.
    """
    return BOLTZMANN * temperature * math.log(rate * time)


def surviving(energy: np.ndarray, spread: float, time: float, temperature: float, rate: float) -> np.ndarray:
    """The fraction S of their vacancies that cells have left, in [0, 1]; all of them before 1/rate.

    Interpolated in a table of the exact integral, to 1e-5.

    Args:
        energy: mean energy of each cell's vacancies, eV, any shape.
        spread: standard deviation of the energies within a cell, eV.
        time: s; temperature: K; rate: the attempt frequency nu, 1/s.
    """
    if rate * time <= 1:
        return np.ones_like(energy)
    kt = BOLTZMANN * temperature
    x = (energy - demarcation_energy(time, temperature, rate)) / kt
    if not spread:
        with np.errstate(over="ignore"):  # of energies far below what recombines: none are left
            return np.exp(-np.exp(-x))
    return np.interp(x, *_table(spread / kt))


@lru_cache(maxsize=64)
def _table(s: float) -> tuple[np.ndarray, np.ndarray]:
    """x and P(G + s Z < x), by the trapezoidal rule over Z, which converges geometrically for smooth tails."""
    x = np.linspace(GUMBEL_TAILS[0] - NORMAL_TAIL * s, GUMBEL_TAILS[1] + NORMAL_TAIL * s, TABLE)
    z = np.linspace(-NORMAL_TAIL, NORMAL_TAIL, NODES)
    density = np.exp(-(z**2) / 2)
    with np.errstate(over="ignore", under="ignore"):
        values = [np.exp(-np.exp(-(part[:, None] - s * z))) @ density for part in np.array_split(x, 40)]
    return x, np.concatenate(values) / density.sum()
