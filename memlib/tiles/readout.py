"""From the currents of a tile's columns to codes: signal, read noise and conversion."""

from dataclasses import dataclass

from torch import Tensor

from memlib.cells.iv_law import even_powers
from memlib.mapping.hardware import Hardware
from memlib.tiles.conductances import ProgrammedTiles
from memlib.tiles.converters import adc_errors, adc_limits, convert_currents, input_top
from memlib.tiles.input_record import LayerInputs


@dataclass(frozen=True)
class Readout:
    """The way from the currents of a layer's columns to codes; all in units of an ADC code."""

    hardware: Hardware
    name: tuple[int | str, ...]  #: device seed, layer and slice, which name the read noise and the converters' errors
    limits: tuple[int, int] | None  #: smallest and largest code of the ADC; None: off
    amperes: float  #: of an output code
    top: float  #: the input code that stands for v_read

    @classmethod
    def of(
        cls, hardware: Hardware, name: tuple[int | str, ...], inputs: LayerInputs | None, full_scale: float | None
    ) -> "Readout":
        """The readout of a slice; `full_scale` is that of its ADCs, A, and None only where these are off."""
        tile, limits = hardware.tile, adc_limits(hardware.tile, inputs)
        amperes = tile.v_read * hardware.device.g_range
        if limits:
            assert full_scale is not None
            amperes = full_scale / limits[1]
        return cls(hardware, name, limits, amperes, input_top(tile, inputs))

    @property
    def gain(self) -> float:
        """Output codes per input code and siemens."""
        return self.hardware.tile.v_read / self.top / self.amperes

    @property
    def converter(self) -> str:
        """The unit that is converted, "pair" or "column"; pairs add up where nothing is converted."""
        by_column = self.hardware.tile.converter == "column" and (self.limits or self.noisy)
        return "column" if by_column else "pair"

    @property
    def noisy(self) -> bool:
        """Whether reads are."""
        return self.hardware.device.read_noise > 0

    @property
    def offset(self) -> bool:
        """Whether a reference column is subtracted, rather than the negative columns."""
        return self.hardware.mapping.scheme == "offset"

    @property
    def shared_noise(self) -> bool:
        """Whether a tile's reference has a normal of its own, which all its columns share."""
        return self.noisy and self.offset and self.converter == "pair"

    @property
    def linear(self) -> bool:
        """Whether partial sums just add up: nothing is converted, noisy, serial, or bent by the state of a cell."""
        plain = self.limits is None and not self.noisy and not self.hardware.tile.bit_serial
        return plain and not self.hardware.device.law.depends_on_state

    def signal(self, tiles: ProgrammedTiles) -> Tensor:
        """(tiles, conversions, terms * n) output codes per input code, float64."""
        return tiles.currents(self.converter) * self.gain

    def variance(self, tiles: ProgrammedTiles) -> Tensor:
        """(tiles, normals, terms * n) variance of the above at a read, float64."""
        return tiles.noise_variances(self.converter) * self.gain**2

    def terms(self, u: Tensor, squared: bool = False) -> list[Tensor]:
        """The functions of input codes whose products with `signal`, or `variance`, add up."""
        terms = self.hardware.device.law.series_terms(self.hardware.tile.v_read, squared)
        return even_powers(u.square() if squared else u, u, self.top, terms)

    def errors(self, tiles: ProgrammedTiles) -> tuple[Tensor, Tensor]:
        """Gain, and offset in codes, of each conversion's ADC: (tiles, conversions) float64."""
        assert self.limits is not None  # as Tile checks: converters that are off have no errors
        gain, offset = adc_errors(tiles, self.hardware, self.name)
        return gain, offset * self.limits[1]

    def convert(self, codes: Tensor, errors: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """The ADCs' codes of the currents of columns, in place; unchanged without an ADC."""
        return codes if self.limits is None else convert_currents(codes, self.limits, errors)
