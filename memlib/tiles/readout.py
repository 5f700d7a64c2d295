"""From the currents of a tile's columns to codes: signal, read noise and conversion."""

from dataclasses import dataclass

import torch
from torch import Tensor

from memlib.base.random_streams import normals
from memlib.cells.iv_law import even_powers
from memlib.mapping.hardware import Hardware
from memlib.tiles.conductances import ProgrammedTiles
from memlib.tiles.converters import convert_currents


@dataclass(frozen=True)
class Readout:
    """What is done to the currents of a layer's columns, in units of an ADC code."""

    hardware: Hardware
    name: tuple[int | str, ...]  #: device seed, layer and slice, which name the read noise and the converters' errors
    codes: tuple[int, int] | None  #: smallest and largest of the ADC; None: off
    gain: float  #: output codes per input code and siemens
    top: float  #: the input code that stands for v_read

    @property
    def converter(self) -> str:
        """What is converted: pairs, which is also how columns add up where nothing is converted."""
        by_column = self.hardware.tile.converter == "column" and (self.codes or self.noisy)
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

    @property
    def erring(self) -> bool:
        """Whether converters have gain or offset errors."""
        return self.hardware.tile.adc_gain_error > 0 or self.hardware.tile.adc_offset_error > 0

    def errors(self, tiles: ProgrammedTiles) -> tuple[Tensor, Tensor]:
        """Gain, and offset in codes, of each conversion's ADC: (tiles, conversions) float64."""
        t = self.hardware.tile
        shape, found = (self.hardware.mapping.polarities, t.cols + 1), []
        places = list(zip(tiles.numbers.tolist(), tiles.columns, strict=True))
        for effect, sigma in (("adc_gain", t.adc_gain_error), ("adc_offset", t.adc_offset_error)):
            z = torch.stack([normals(shape, *self.name, effect, *number)[:, at] for number, at in places]).double()
            z = z[:, 0, : tiles.outputs.shape[1]] if self.converter == "pair" else z.flatten(1)
            found.append(sigma * z)
        assert self.codes is not None  # as Tile checks: converters that are off have no errors
        return 1 + found[0], found[1] * self.codes[1]

    def convert(self, codes: Tensor, errors: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """What the ADCs make of the currents of columns, in place; unchanged without an ADC."""
        return convert_currents(codes, self.codes, errors) if self.codes else codes
