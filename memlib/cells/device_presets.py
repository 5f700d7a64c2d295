"""Published devices, each with its source: a new device is one new entry."""

from typing import Any

#: Published RRAM cells, read at 0.3 V. The first three are ideal devices at an operating point; the others have what
#: was measured of them, and no more: faults, for one, stay off. A `retention_time` or `endurance_cycles` ages them.
PRESETS: dict[str, dict[str, Any]] = {
    "10k_100k": {"r_on": 10e3, "r_off": 100e3},
    "14k_300k": {"r_on": 14e3, "r_off": 300e3},
    "14k_50M": {"r_on": 14e3, "r_off": 50e6},
    # NeuRRAM: Wan et al., Nature 608, 504 (2022), Extended Data Fig. 3, through the polynomials that aihwkit's
    # ReRamWan2022NoiseModel fits to it, as rms over 1 to 40 uS: 1.80 uS 1 s after write-verify, 3.41 uS after one and
    # two days (so it saturates: no extrapolation to years). Errors near g_off are 2.5 times smaller than this.
    "neurram": {"r_on": 25e3, "r_off": 1e6, "program_error": 0.046, "retention_spread": 0.0145},
    # CMO/HfOx: Falcone et al., arXiv 2502.04524 (2025), 9 to 88.2 uS, 32 levels, written to within 0.2 %, as aihwkit's
    # ReRamCMONoiseModel has it: sigma 0.41 uS at 1 s; drift, and read noise, of 50 uS. Its sigma is linear in ln(t);
    # this spread, which adds in quadrature, fits it at one day.
    "cmo_hfox": {
        "r_on": 11.338e3, "r_off": 111.1e3, "states": 32, "program_error": 0.00525, "read_noise": 0.0034,
        "retention_nu": 0.0018, "retention_spread": 0.0020,
    },
    # HfO2, 4 kbit: Milo et al., IRPS 2021, 50 to 225 uS, algorithm IGVVA-100, through the line that CrossSim's RRAMMilo
    # fits to its Fig. 4: rms 3.56 uS. (Their nine levels are of a weight, which may be of a pair: no states here.)
    "ihp_hfo2": {"r_on": 4.444e3, "r_off": 20e3, "program_error": 0.0203},
    # HfAlO, 10 nm: the data and fits of Lammie, Rahimi Azghadi and Ielmini, Semicond. Sci. Technol. 36, 065003 (2021),
    # Fig. 2A. For ageing by cycles; its programming error was not published there.
    "hfalo": {"r_on": 4.4e3, "r_off": 65e3, "endurance_onset": 1e4, "endurance_on": 0.122, "endurance_off": 0.159},
}  # fmt: skip
