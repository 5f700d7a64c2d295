"""The tile: a modular crossbar of rows x cols cells with its input and output converters."""

import math
from functools import cached_property

from memlib.base.checks import fail, in_range, one_of, positive, whole, yes_or_no
from memlib.base.configuration import Config, config
from memlib.wires.resistances import Wires


@config
class Tile(Config):
    """Geometry and converters of one tile. In the dense layout only footprint and cost depend on `cols`."""

    rows: int = 128  #: inputs
    cols: int = 128  #: outputs
    #: code = clip(round_half_even(x/x_max N)), N = 2^(b-1)-1 if the layer's input is signed, 2^b-1 if not, and
    #: v = v_read code/N. None: v = v_read x/x_max, no rounding and no clipping.
    dac_bits: int | None = 8
    #: The same with I/range; a pair's current is always signed, a column's if the rows' voltages are. None: off.
    adc_bits: int | None = 8
    #: "calibrated", or "full": v_read n s with n the most selected rows in any tile of the layer and s = g_on - g_off
    #: for a differential pair, half of it for an offset pair, g_on per column.
    adc_range: str = "calibrated"
    #: Calibrated on the ideal device ("design") or on this seed's devices ("chip"); both without read noise.
    adc_calibration: str = "design"
    #: The calibrated range is this quantile of |I| over all converted currents of a layer.
    adc_quantile: float = 0.999
    #: One ADC per "pair" of columns, whose currents are subtracted first, or per "column".
    converter: str = "pair"
    #: Static error of each converter's gain, a relative sigma, and of its offset, a sigma relative to the range:
    #: code = clip(round(((1 + gain error) I/range + offset error) N)). Neither is part of a calibration.
    adc_gain_error: float = 0.0
    adc_offset_error: float = 0.0
    #: Drive the bits of an input code one after another, each with v_read or 0: each is a read, noisy and converted by
    #: itself. Signed inputs take two phases, the negative one subtracted, as voltages are never negative.
    bit_serial: bool = False
    v_read: float = 0.3  #: largest input voltage, V
    t_read: float | None = None  #: how long a read drives the rows, s; None: as the technology of the cost model says
    # Resistances, ohm (`Wires`): rows are driven before the first column, columns sensed after the last row
    r_driver: float = 0.0  #: of each row's driver
    r_row: float = 0.0  #: of a row's wire, before each cell
    r_col: float = 0.0  #: of a column's wire, after each cell
    r_sense: float = 0.0  #: from the end of a column to its virtual ground
    r_transistor: float = 0.0  #: of each cell's transistor, in series: the cell conducts g/(1 + g r_transistor)

    def __post_init__(self) -> None:
        self.check(whole, "rows", "cols", low=1)
        self.check(whole, "dac_bits", "adc_bits", low=1, high=24, none=True)
        self.check(one_of, "adc_range", allowed=("calibrated", "full"))
        self.check(one_of, "adc_calibration", allowed=("design", "chip"))
        self.check(one_of, "converter", allowed=("pair", "column"))
        self.check(in_range, "adc_quantile", low=0, high=1, what="a quantile")
        self.check(positive, "v_read")
        self.check(positive, "t_read", none=True)
        self.check(in_range, "adc_gain_error", "adc_offset_error", low=0, high=math.inf, what="a relative sigma")
        for name in ("adc_gain_error", "adc_offset_error"):
            if self.adc_bits is None and getattr(self, name):
                fail(name, getattr(self, name), "0 without an ADC (adc_bits=None)")
        resistances = "r_driver", "r_row", "r_col", "r_sense", "r_transistor"
        self.check(in_range, *resistances, low=0, high=math.inf, what="a resistance in ohm")
        self.check(yes_or_no, "bit_serial")
        if self.bit_serial and self.dac_bits is None:
            fail("bit_serial", True, "False without a DAC (dac_bits=None), whose bits it drives")
        if self.adc_bits == 1 and self.converter == "pair":
            fail("adc_bits", 1, "at least 2 for the signed current of a pair, or None for off")

    @cached_property
    def wires(self) -> Wires:
        """All its resistances."""
        return Wires(self.r_row, self.r_col, self.r_driver, self.r_sense, self.r_transistor)

    @cached_property
    def wired(self) -> bool:
        """Whether currents share resistances, so that a cell's current depends on all others of its tile."""
        return self.wires.shared

    def planes(self, signed: bool) -> int:
        """Reads that one pass takes: one, or one per bit (and phase) of the input code."""
        if not self.bit_serial:
            return 1
        assert self.dac_bits is not None  # as __post_init__ checks
        return 2 * (self.dac_bits - 1) if signed else self.dac_bits
