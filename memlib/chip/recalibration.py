"""Digital recalibration of a programmed chip: errors that are corrected behind the converters, no device touched."""

import contextlib
import copy
from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn

from memlib.base.checks import fail, images_of, one_of
from memlib.chip.layer import AnalogLayer
from memlib.chip.network import AnalogNetwork, check_chip
from memlib.layers.geometry import Geometry, MatrixLayer
from memlib.layers.mappable import NORMALISATIONS, Normalisation, all_modules, float_copy, is_matrix_layer
from memlib.layers.tracing import fitting, input_of

#: none         nothing
#: gain         a factor for every output column of every layer
#: batch_norm   the running means and variances of every batch norm, as the chip's own activations have them
METHODS = ("none", "gain", "batch_norm")
#: Images that "gain" runs at once. Read noise is drawn forward by forward, so results depend on it.
BATCH = 100
PART_VALUES = 2**17  #: outputs that are compared at once, few enough to stay in the processor's cache


@torch.no_grad()
def recalibrate(analog: AnalogNetwork, model: nn.Module, images: Tensor, method: str) -> None:
    """Recalibrate one chip, in place, with calibration images; `model` is left untouched.

    "gain": each output column gets one digital factor a, which multiplies what its row cuts add up to, before the bias.
    A column is an output channel's copy in the placement's window, so there is one for each output channel in the dense
    layout and for linear layers, one for each position in the window in a window layout, and one for each output
    position in the sparse layout. With y the float layer's output without its bias, and y' the chip's,

        a = max(0, sum(y' y) / sum(y'^2)),    1 if sum(y'^2) = 0

    over all images and positions: of all factors from 0, the one that brings a y' nearest to y in the least-squares
    sense. A negative one would invert a column whose devices went wrong; 0 leaves its bias alone. With read noise it is
    the factor for noisy reads, and a little below that for their mean. Both layers are driven by the float network's
    input to the layer, so that layers are fitted independently of each other: a factor makes up for its own column's
    devices, not for how far the layers in front of it are off on these images.

    "batch_norm": running means and (unbiased) variances are measured again in one forward, in which every batch norm
    normalises with the statistics that it sees, so that later ones get corrected inputs. They are those of all images
    as a single batch, whose activations must fit in memory; a module that is called several times gets their mean over
    its calls. Scale and shift stay. (Joshi et al., Nature Communications 11, 2473, 2020, use batch norm against drift
    of phase-change memory.)

    Read noise is drawn from its beginning, and goes on afterwards as if nothing had been read. A method starts from
    the tiles: what it set before is replaced, what the other one set is kept, and seen by "batch_norm". Not modelled:
    the energy, time and area of factors and of recalibrating.

    Args:
        analog: a chip, as `map_network` returns it.
        model: the float network that it was mapped from; "gain" alone runs it, once a chip.
        images: (n, *input shape), as the model takes them.
        method: one of `METHODS`.

    Raises:
        ValueError: for an unknown method, "batch_norm" for a network without one, another model than the chip's, or
            images that do not fit it. The chip is then as it was.
        TypeError: if `analog` is no chip.
    """
    check_chip(analog)
    check_method("method", method, analog.network)
    if method == "none":
        return
    images_of("images", images)
    if method == "gain":
        _check_model(analog, model)
    with analog.rewound(), fitting(f"images: of shape {tuple(images.shape)} do not fit the model"):
        if method == "gain":
            _fit_gains(analog, model, images)
        else:
            with _following_batches(_batch_norms(analog.network)):
                analog(images)


def check_method(field: str, method: str, model: nn.Module) -> None:
    """Raise unless `method` is one of `METHODS`, and there is something in the model that it could change."""
    one_of(field, method, METHODS)
    if method == "batch_norm" and not _batch_norms(model):
        fail(field, method, "'none' or 'gain' for a network without batch norm that keeps running statistics")


def _check_model(analog: AnalogNetwork, model: nn.Module) -> None:
    """Raise unless every layer on tiles has its float layer in the model."""
    modules = all_modules(model)
    for name, layer in analog.layers.items():
        module = modules.get(name)
        if not is_matrix_layer(module) or Geometry.of(module) != layer.geometry:
            fail("model", type(model).__name__, f"the network that the chip was mapped from, with a layer {name!r}")


def _fit_gains(analog: AnalogNetwork, model: nn.Module, images: Tensor) -> None:
    network = float_copy(model, analog.layers)
    fits = [_Fit(cast(MatrixLayer, network.get_submodule(name)), layer) for name, layer in analog.layers.items()]
    for batch in images.split(BATCH):
        network(batch)
    for fit in fits:
        fit.finish()


class _Fit:
    """A forward hook on a float layer, which drives the chip's layer with the same input and compares the outputs."""

    def __init__(self, module: MatrixLayer, layer: AnalogLayer) -> None:
        self.layer, self.window = layer, layer.placement.window
        self.sums: Tensor | None = None
        self.like = module.weight
        self.bias, module.bias = module.bias, None  # the hook adds it
        module.register_forward_hook(self, with_kwargs=True)

    def __call__(self, _module: nn.Module, arguments: tuple, named: dict, output: Tensor) -> Tensor:
        chip = self.layer.product(input_of(arguments, named))
        sums = self._by_column(self._over_images(chip, output))
        self.sums = sums if self.sums is None else self.sums + sums
        return output if self.bias is None else output + self.layer.geometry.by_output(self.bias)

    def _over_images(self, chip: Tensor, output: Tensor) -> Tensor:
        """Both sums over images only: outputs (..., outputs, *map) to (2, outputs, *map)."""
        shape = output.shape[output.dim() - 1 - self.layer.geometry.dims :]
        total = output.new_zeros(2, *shape, dtype=torch.float64)
        parts = (y.reshape(-1, *shape).split(max(1, PART_VALUES // shape.numel())) for y in (chip, output))
        for y_hat, y in zip(*parts, strict=True):
            y_hat = y_hat.double()
            total[0] += (y_hat * y).sum(0)
            total[1] += (y_hat * y_hat).sum(0)
        return total

    def _by_column(self, sums: Tensor) -> Tensor:
        """The sums over passes too: (2, outputs, *map) to (2, outputs, *window)."""
        for d, h in enumerate(self.window.shape, start=2):
            shape = *sums.shape[:d], h, *sums.shape[d + 1 :]
            copies = torch.arange(sums.shape[d], device=sums.device) % h
            sums = sums.new_zeros(shape).index_add_(d, copies, sums)
        return sums

    def finish(self) -> None:
        """Set the layer's factors, if it was called."""
        if self.sums is not None:
            product, square = self.sums
            fitted = (product / square).clamp(min=0)
            self.layer.gain = torch.where(square > 0, fitted, 1.0).to(self.like)


def _batch_norms(network: nn.Module) -> list[Normalisation]:
    """Those with running statistics; others follow every batch by themselves."""
    return [m for m in network.modules() if isinstance(m, NORMALISATIONS) and m.running_mean is not None]


@contextlib.contextmanager
def _following_batches(norms: list[Normalisation]) -> Iterator[None]:
    """Batch norms normalise with the statistics of each batch inside, and keep their mean; or none, after an error."""
    kept = [(norm, norm.momentum, copy.deepcopy(norm.state_dict())) for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over calls
        norm.train()
    try:
        yield
    except BaseException:
        for norm, _, state in kept:
            norm.load_state_dict(state)
        raise
    finally:
        for norm, momentum, _ in kept:
            norm.momentum = momentum
            norm.eval()
