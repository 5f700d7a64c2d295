"""How a layer's weights become conductances: the choices of a mapping, and the schemes for signed weights."""

import re
from typing import Any

import torch
from torch import Tensor

from memlib.base.checks import fail, one_of, whole
from memlib.base.configuration import Config, config
from memlib.cells.device import Device
from memlib.layers.geometry import along_first

#: What the fields that are words may be.
CHOICES = {
    "scheme": ("differential", "offset"),
    "order": ("packed", "chw", "hwc"),
    "unused": ("hrs", "unformed"),
    "w_max": ("layer", "column"),
}
#: Which field a word of `Mapping.parse` is a value of.
WORDS = {word: field for field, words in CHOICES.items() for word in words}
#: What a layout may be, for messages.
LAYOUTS = "'dense', 'sparse', or the outputs of a pass as a pair (h, w)"
TEXTS = f"'dense', 'sparse', or a window such as '4x4', and then any of {', '.join(WORDS)}, after commas"


@config
class Mapping(Config):
    """How weights are laid out on tiles."""

    #: The window of outputs that one pass computes. "dense": one, each kernel stored once (im2col). (h, w): so many,
    #: with a copy of each kernel for each. "sparse": the whole map, in one pass (Toeplitz matrix).
    layout: str | tuple[int, int] = "dense"
    scheme: str = "differential"  #: or "offset": one cell per weight, and a reference column per tile
    #: Of rows and columns. "chw": inputs and outputs (c, y, x). "hwc": both (y, x, c). "packed": as "chw", but in the
    #: sparse layout each column group is a rectangle of outputs with just the inputs that it needs. (The dense layout
    #: runs several times slower in "hwc".)
    order: str = "packed"
    #: "hrs": unused cells hold the scheme's zero state; "unformed": they do not conduct (differential only).
    unused: str = "hrs"
    #: The weight that maps to the full window: the largest of the whole "layer", or of each output "column".
    w_max: str = "layer"
    #: Cells per weight (and polarity), each in a tile of its own. Of L levels (`Device.states`; offset: an odd number)
    #: they hold the digits, least significant first, of M = round_half_even(W/w_max D): differential, those of |M| in
    #: base L in the cells of its sign, D = L^slices - 1; offset, balanced digits -(L-1)/2..(L-1)/2 around g_mid,
    #: D = (L^slices - 1)/2. Their results are converted apart, and added digitally with weights L^slice.
    slices: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "layout", _checked_layout(self.layout))
        for name, allowed in CHOICES.items():
            self.check(one_of, name, allowed=allowed)
        self.check(whole, "slices", low=1)
        if self.scheme == "offset" and self.unused == "unformed":
            fail("unused", self.unused, "'hrs' with the offset scheme, whose zero state conducts")

    @classmethod
    def parse(cls, text: str) -> "Mapping":
        """The mapping that a text names: a layout, then values of other fields, as in "sparse, unformed, offset".

        A layout is "dense" (or "1x1"), "sparse", or the outputs of a pass such as "2x4" (height x width), which are in
        the order "hwc" unless another is named. Raises ValueError for another layout or word.
        """
        if not isinstance(text, str):
            fail("layout", text, TEXTS)
        layout, *words = text.split(", ")
        for word in words:
            one_of(f"layout {text!r}: word", word, WORDS)
        others: dict[str, Any] = {WORDS[word]: word for word in words}
        if layout in ("dense", "1x1", "sparse"):
            return cls("sparse" if layout == "sparse" else "dense", **others)
        if not re.fullmatch(r"[1-9]\d*x[1-9]\d*", layout):
            fail("layout", text, TEXTS)
        height, width = map(int, layout.split("x"))
        return cls((height, width), **{"order": "hwc", **others})

    @property
    def polarities(self) -> int:
        """Cells, and physical tiles, per weight and slice."""
        return 2 if self.scheme == "differential" else 1

    @property
    def cells(self) -> int:
        """Cells, and physical tiles, per weight."""
        return self.polarities * self.slices


def _checked_layout(layout: Any) -> str | tuple[int, int]:
    """The layout, a list of two numbers (as JSON has it) as a tuple."""
    if isinstance(layout, str) and layout in ("dense", "sparse"):
        return layout
    if not isinstance(layout, tuple | list) or len(layout) != 2:
        fail("layout", layout, LAYOUTS)
    for name, value in zip(("layout h", "layout w"), layout, strict=True):
        whole(name, value, 1)
    return int(layout[0]), int(layout[1])


def usable_states(states: int | None, scheme: str) -> int | None:
    """Levels the scheme can use: offset needs g_mid among them, so of an even number it uses one less.

    Raises ValueError for two states with the offset scheme.
    """
    if states is None or scheme == "differential":
        return states
    if states < 3:
        fail("states", states, "at least 3 with the offset scheme, whose levels include the middle, or None for off")
    return states - 1 + states % 2


def zero_state(device: Device, scheme: str) -> float:
    """The conductance, S, that stands for weight 0: g_off in both cells of a pair, or g_mid."""
    return device.g_off if scheme == "differential" else (device.g_on + device.g_off) / 2


def target_conductances(weight: Tensor, device: Device, mapping: Mapping) -> tuple[list[Tensor], Tensor]:
    """Wanted conductance of every cell that holds a weight, and what a pair's conductance difference means.

    differential: g_pos = g_off + k max(W, 0), g_neg = g_off + k max(-W, 0), W = (g_pos - g_neg)/k
    offset:       g = g_mid + (k/2) W, W = 2 (g - g_mid)/k,     with k = (g_on - g_off)/w_max
    slices:       see `Mapping.slices`; W = sum over slices of L^slice (difference) w_max (L - 1)/(D (g_on - g_off))

    Args:
        weight: (out, ...) float64.

    Returns:
        for each slice, targets (polarity, 1, *weight.shape) in S, float64; and the weight per siemens of difference in
        the first slice, (out,), 1/S.
    """
    largest = weight.abs().flatten(1).amax(1)
    if mapping.w_max == "layer":
        largest = largest.amax().expand_as(largest)
    largest = torch.where(largest > 0, largest, 1.0)
    if mapping.slices > 1:
        return _sliced(weight, largest, device, mapping)
    k = device.g_range / largest
    scaled = weight * along_first(k, weight)
    if mapping.scheme == "differential":
        return [device.g_off + torch.stack((scaled.clamp(min=0), (-scaled).clamp(min=0)))[:, None]], 1 / k
    return [(zero_state(device, "offset") + scaled / 2)[None, None]], 2 / k


def _sliced(weight: Tensor, largest: Tensor, device: Device, mapping: Mapping) -> tuple[list[Tensor], Tensor]:
    """The same for several slices: digits of whole numbers, one slice after the other."""
    levels = usable_states(device.states, mapping.scheme)
    assert levels is not None  # as Hardware checks
    differential = mapping.scheme == "differential"
    most = (levels**mapping.slices - 1) // (1 if differential else 2)
    step = device.g_range / (levels - 1)
    rest = (weight / along_first(largest, weight) * most).round()
    zero, targets = zero_state(device, mapping.scheme), []
    for _ in range(mapping.slices):
        # of an even base, digits follow the sign; of the odd base of the offset scheme, they are balanced around 0
        digit = torch.fmod(rest, levels) if differential else (rest + levels // 2).remainder(levels) - levels // 2
        rest = (rest - digit) / levels
        parts = (digit.clamp(min=0), (-digit).clamp(min=0)) if differential else (digit,)
        targets.append(zero + step * torch.stack(parts)[:, None])
    return targets, largest / (most * step)
