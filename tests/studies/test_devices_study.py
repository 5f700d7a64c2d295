"""The study of devices: distributions, currents, ageing and writing against numbers by hand, and its claims."""

import math

import numpy as np
import pandas as pd
import pytest
from made_up import made_up_run
from scipy import stats

from memlib import Device
from memlib.cells.writing import WriteResult
from memlib.studies.figure_files import save_table
from memlib.studies.s01_devices import ageing, conductances as study, currents, switching_loops, write_errors

BASELINE = Device(r_on=10e3, r_off=100e3)
WRITING = {"claim_tolerance": 0.01, "write_cells": 400, "max_pulses": 100}


# Theory


def test_cdf_by_hand():
    """Normal errors of both kinds, cut off at 0; lognormal ends of the window; point masses of faults."""
    g = np.array([-1e-9, 0, 37e-6, 40e-6])
    error = BASELINE.replace(program_error=0.1)  # sigma 9 uS
    assert study.cdf(error, 40e-6, g) == pytest.approx([0, stats.norm.cdf(-40 / 9), stats.norm.cdf(-1 / 3), 0.5])
    relative = BASELINE.replace(program_error=0.1, program_error_to="g")  # sigma 4 uS
    assert study.cdf(relative, 40e-6, g)[2:] == pytest.approx(stats.norm.cdf([-0.75, 0]))
    d2d = BASELINE.replace(d2d_on=0.2, d2d_off=0.1)
    log_sigma = math.sqrt(math.log(1.04)), math.sqrt(math.log(1.01))
    for target, own, at in ((100e-6, log_sigma[0], 120e-6), (10e-6, log_sigma[1], 9e-6)):
        assert study.cdf(d2d, target, np.array([at])) == pytest.approx(stats.norm.cdf(math.log(at / target) / own))
    faulty = error.replace(stuck_on=0.1, stuck_off=0.2, unformed=0.5)  # each takes its part of what is left
    below = np.nextafter(np.array([0, 1 / 100e3, 1 / 10e3]), -1)
    healthy = study.cdf(error, 40e-6, below)
    assert study.cdf(faulty, 40e-6, below) == pytest.approx(
        [0, 0.5 + 0.36 * healthy[1], 0.5 + 0.5 * (0.2 + 0.72 * healthy[2])]
    )
    assert study.cdf(faulty, 40e-6, np.array([1 / 10e3])) == pytest.approx(0.6 + 0.36 * healthy[2] + 0.04)


def test_cdf_between_the_ends_of_the_window():
    """A third of the way, by brute force."""
    rng = np.random.default_rng(3)
    on, off = (g * np.exp(math.sqrt(math.log(1.09)) * rng.standard_normal(400_000)) for g in (100e-6, 10e-6))
    at = np.array([25e-6, 40e-6, 60e-6])
    expected = [(off + (on - off) / 3 <= x).mean() for x in at]
    assert study.cdf(BASELINE.replace(d2d_on=0.3, d2d_off=0.3), 40e-6, at) == pytest.approx(expected, abs=0.003)


def test_distributions_agree_and_a_wrong_one_does_not(monkeypatch):
    """All cases pass; with a programming error a tenth larger than theory's, the case concerned fails."""
    conductances = study.programmed(made_up_run(cells=3000, device_seeds=2))
    run = made_up_run({study.programmed: conductances})
    table = study.agreement(run)
    assert (table["distance"] < table["limit"]).all()
    assert table["cells"].unique().tolist() == [6000]
    frame = study.histograms(run)
    sums = frame.groupby(["case", "target"])[["share", "expected"]].sum()
    assert sums.min().min() > 0.995  # the windows show all but a few cells
    assert np.abs(frame["share"] - frame["expected"]).max() < 0.03
    name = "neurram"
    wrong = study.Case(study.CASES[name].device.replace(program_error=0.05), study.THIRDS, (0, 47))
    monkeypatch.setitem(study.CASES, name, wrong)
    table = study.agreement(run)
    assert set(table["case"][table["distance"] > table["limit"]]) == {name}


def test_distance():
    """On either side of a step, as SciPy has it; and of cells that are all at a point mass of half the cells."""
    device = BASELINE.replace(program_error=0.1)
    for g in ([20e-6, 30e-6], [50e-6, 70e-6], [39e-6, 41e-6, 41e-6]):
        expected = stats.kstest(g, stats.norm(40e-6, 9e-6).cdf).statistic
        assert study._distance(device, 40e-6, np.array(g)) == pytest.approx(expected)
    half = BASELINE.replace(program_error=0.1, unformed=0.5)
    assert study._distance(half, 40e-6, np.zeros(9)) == pytest.approx(0.5, abs=1e-4)


# Currents


def test_currents_by_hand():
    """0.25 V: sinh(1.2)/1.2 = 1.2579 at 0.3 V; v0 of the middle state is half-way between 2 and 0.4 V."""
    table = currents.iv(made_up_run())
    at = table[np.isclose(table["voltage"], 0.3)].set_index(["law", "state"])
    ratio = at["current"] / at["ohmic"]
    assert ratio["linear"].tolist() == [1] * 3
    assert ratio["v0 = 0.25 V"].to_numpy() == pytest.approx(1.2579, abs=1e-4)
    for state, v0 in (("HRS", 0.4), ("middle", 1.2), ("LRS", 2.0)):
        assert ratio["v0 = 2 V to 0.4 V", state] == pytest.approx(math.sinh(0.3 / v0) * v0 / 0.3)
    assert at.loc[("linear", "LRS"), "current"] == pytest.approx(30e-6)


def test_reads():
    """The column's noise from its definition: 1 % of the range of 39 uS times the root of the sum of v^2."""
    reads = currents.read_columns(made_up_run(reads=4000, device_seeds=3))
    run = made_up_run({currents.read_columns: reads})
    name = "neurram, 1 % of the range"
    for seed in range(3):
        v = np.random.default_rng([seed, 1]).uniform(0, 0.3, 128)
        # none of the 128 cells is at 0 for sure, those that are have no noise
        assert reads[name].sigma[seed] == pytest.approx(0.39e-6 * math.sqrt((v**2).sum()), rel=0.05)
        assert reads[name].sigma[seed] <= 0.39e-6 * math.sqrt((v**2).sum()) * (1 + 1e-9)
    assert reads[name].current.shape == (3, 4000)
    summary = currents.read_summary(run)
    assert summary["ratio"].to_numpy() == pytest.approx(1, abs=0.03)
    step = 128 * 0.3 * 40e-6 / 255
    assert summary["sigma_in_8_bit_steps"][1] == pytest.approx(reads[name].sigma.mean() / step)
    noise = currents.read_histograms(run)
    assert np.abs(noise["share"] - noise["expected"]).max() < 0.006


# Time


def test_ageing_by_hand():
    """Decay of 50 uS cells by t^-0.0018; Arrhenius at 125 C; a window closed at n0 (65/4.4)^(1/0.281) cycles."""
    table = ageing.retention(cells=2000, seeds=2)
    cmo = table[table["device"] == "cmo_hfox"]
    last = cmo[cmo["time"] == cmo["time"].max()].set_index("target")
    years = 10 * 365.25 * 86400
    for target, row in last.iterrows():
        assert row["mean"] == pytest.approx(target * years**-0.0018, abs=0.15)
    sigma = 79.2 * math.hypot(0.00525 * years**-0.0018, 0.0020 * math.log10(years))
    assert ((last["p95"] - last["p5"]) / (2 * 1.645 * sigma)).to_numpy() == pytest.approx(1, abs=0.06)
    neurram = table[table["device"] == "neurram"]
    assert neurram["time"].max() == pytest.approx(2 * 86400)
    assert neurram["rms"].max() == pytest.approx(math.hypot(0.046, 0.0145 * math.log10(172800)), rel=0.06)
    t0 = 4.7e4 * math.exp(1.65 / 8.617333e-5 * (1 / 398 - 1 / 473))
    assert ageing._kept(1.65, 398.0) == pytest.approx((years / t0) ** -0.67, rel=1e-5)
    assert ageing._kept(1.65, 358.0) == 1
    worn = ageing.endurance().pivot(index="cycles", columns="target", values="mean")
    closed = 1e4 * (65 / 4.4) ** (1 / (0.122 + 0.159))
    assert (np.ptp(worn, axis=1)[worn.index > closed] < 1e-9).all()
    assert (np.ptp(worn, axis=1)[worn.index < closed] > 0.1).all()


def test_wrong_levels():
    """Nothing is wrong without errors; two levels and a pure spread by hand; simulation against theory."""
    ideal = Device(r_on=10e3, r_off=100e3)
    assert ageing.wrong_level(ideal, 8, 0.0, 800, 0) == ageing.wrong_level(ideal, 2, 0.0, 801, 0) == 0
    spread = ideal.replace(retention_spread=0.1)
    by_hand = stats.norm.sf(0.5 / (0.1 * 4))  # of the range, after 10^4 s
    assert ageing.wrong_level_theory(spread, 2, 1e4) == pytest.approx(by_hand)
    assert ageing.wrong_level(spread, 2, 1e4, 20_000, 0) == pytest.approx(by_hand, abs=0.007)
    for device, levels, time in ((Device.preset("cmo_hfox"), 32, 3600.0), (Device.preset("cmo_hfox"), 16, 3e8)):
        theory = ageing.wrong_level_theory(device, levels, time)
        assert ageing.wrong_level(device, levels, time, 20_000, 1) == pytest.approx(theory, abs=0.01)


# Switching


def test_switching_curves():
    """Every loop opens and every train moves the cell up when it sets and down when it resets."""
    curves = switching_loops.switching_table(made_up_run())
    for name, drive in switching_loops.DRIVES.items():
        part = curves[curves["model"] == name]
        train = part[part["part"] == "pulses"].set_index("pulse")["conductance"]
        assert train[50] > 1.02 * train[0]
        assert train[100] < 0.99 * train[50]
        loop = part[part["part"] == "loop"]
        up, down = (loop[np.isclose(loop["voltage"], drive.peaks[0] / 2)]["current"].abs()).tolist()[:2]
        assert down > 1.01 * up  # the first half sets


# Writing


def test_writing_table(monkeypatch):
    """Made-up arrays: rms, mean, failures and pulses by hand, with Student's interval over arrays."""
    errors = {0: [0.01, -0.01, 0.5], 1: [0.03, 0.01, -0.5]}  # of a range of 1; the last cell did not converge

    def written(tolerance, read_noise, cells, max_pulses, seed):
        pulses, converged = np.array([10, 20, 100]), np.array([True, True, False])
        return WriteResult(np.zeros(3), np.array(errors[seed]), pulses, np.zeros(3), converged, 1.0, 0.0)

    monkeypatch.setattr(write_errors, "written", written)
    run = made_up_run(tolerances=[0.05], read_noises=[0.0], write_cells=3, max_pulses=100, device_seeds=2)
    row = write_errors.write_table(run).iloc[0]
    rms = 0.01, math.sqrt(0.0005)
    assert row["rms"] == pytest.approx(sum(rms) / 2)
    half = stats.t.ppf(0.975, 1) * abs(rms[0] - rms[1]) / 2
    assert row["rms_high"] - row["rms"] == pytest.approx(half)
    assert (row["mean"], row["failed"], row["pulses"]) == pytest.approx((0.01, 1 / 3, 130 / 3))
    table = write_errors.program_errors(run)
    assert table["source"].tolist()[::3] == ["cmo_hfox, after 1 s", "neurram, after 1 s"]
    assert table["program_error"].is_monotonic_increasing


def test_noiseless_writing_stays_within_the_tolerance():
    """And its rms is nearly that of the uniform distribution."""
    run = made_up_run(**WRITING, tolerances=[0.01], read_noises=[0.0, 0.01], device_seeds=2)
    table, errors = write_errors.write_table(run), write_errors.write_histograms(run)
    outside = errors[(errors["left"] > 0.999) | (errors["right"] < -0.999)].groupby("read_noise")["share"].sum()
    assert outside[0.0] == 0 < outside[0.01]
    assert table["rms"][0] == pytest.approx(0.01 / math.sqrt(3), rel=0.1)
    assert table["rms"][1] > 1.2 * table["rms"][0]


def test_distances():
    """Uniform errors are nearer to uniform, normal ones to normal."""
    n = (np.arange(2000) + 0.5) / 2000
    assert write_errors._distances(0.02 * n - 0.01, 0.01) < 0.02
    assert write_errors._distances(stats.norm.ppf(n, 0, 0.005), 0.01) > 10


# Claims


def test_claims_follow_the_numbers(monkeypatch):
    """The verdicts as published, and with devices for which the opposite is true."""
    run = made_up_run(**WRITING, cells=2000, device_seeds=3, claim_read_noise=0.01)
    claims = ageing.ageing_claims(run) + write_errors.write_claims(run)
    verdicts = ["confirmed", "confirmed", "undecided", "confirmed", "refuted", "confirmed"]
    assert [claim.verdict for claim in claims] == verdicts
    assert [claim.n for claim in claims] == [3, 3, 0, 3, 3, 3]
    assert claims[0].effect == pytest.approx(0.046 / (0.0145 * math.log10(86400)), rel=0.05)
    assert (claims[2].low, claims[2].high) == (ageing._kept(1.62, 398.0), ageing._kept(1.69, 398.0))
    steady = Device.preset("cmo_hfox").replace(program_error=0.001, retention_nu=0.0, retention_spread=1e-4)
    monkeypatch.setattr(study.Device, "preset", lambda name: steady)
    monkeypatch.setattr(ageing, "ENERGIES", (1.70, 1.75))
    monkeypatch.setattr(ageing, "BAKED", ageing.BAKED.replace(retention_energy=1.72))
    run.p.claim_read_noise = 0.0
    claims = ageing.ageing_claims(run) + write_errors.write_claims(run)
    assert [claim.verdict for claim in claims] == ["refuted"] * 3 + ["confirmed", "confirmed", "refuted"]


def test_rounded(tmp_path, monkeypatch):
    monkeypatch.setenv("MEMLIB_ROOT", str(tmp_path))
    frame = pd.DataFrame({"a": [1.23456, -0.000123456], "b": ["x", "y"], "c": [123456, 2]})
    saved = save_table(frame, "00_table", "here", digits=4)
    assert saved.to_dict("list") == {"a": [1.235, -0.0001235], "b": ["x", "y"], "c": [123456, 2]}
