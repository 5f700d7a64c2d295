"""Recurrent layers as what tiles can hold: linear layers for their products, and everything between them digital.

A recurrent module has two products, of its input and of its hidden state, and an LSTM with `proj_size` a third, of its
new state: `input`, `hidden` and `projection`, each one matrix of all gates side by side. Gates, states and biases are
digital. The same devices serve all time steps. The product of the input is read for all steps in one call, with fresh
read noise for each, that of the hidden state once a step. A converter's range is that of all steps.

Dimension 0 of a network's input is its images, so its layers have `batch_first=True`, or it transposes by itself.
On a chip such a layer is an `Unrolled` and no `nn.LSTM`. A network whose `forward` asks for its layers' class
(`isinstance(self.rnn, nn.LSTM)`) takes its other branch there, unnoticed.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from memlib.base.checks import fail

LAYERS = (nn.RNN, nn.LSTM, nn.GRU)  #: what can be unrolled, by exact type
CELLS = (nn.RNNCell, nn.LSTMCell, nn.GRUCell)
Cell = nn.RNNCell | nn.LSTMCell | nn.GRUCell
#: What models ask their layers for.
FIELDS = (
    *("mode", "input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional"),
    *("proj_size", "nonlinearity"),
)

State = tuple[Tensor, ...]  #: the hidden state h, and of an LSTM c too, each (batch, features)
#: Products of the input and of the hidden state, each (batch, gates), and the state, to the next state.
Gates = Callable[[Tensor, Tensor, State], State]


def _lstm(x: Tensor, h: Tensor, state: State) -> State:
    """As torch's LSTM, gates i, f, g, o; before any projection."""
    i, f, g, o = (x + h).chunk(4, -1)
    c = f.sigmoid() * state[1] + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def _gru(x: Tensor, h: Tensor, state: State) -> State:
    """As torch's GRU, gates r, z, n; r scales the hidden state's product with its bias."""
    (x_r, x_z, x_n), (h_r, h_z, h_n) = x.chunk(3, -1), h.chunk(3, -1)
    z, n = (x_z + h_z).sigmoid(), (x_n + (x_r + h_r).sigmoid() * h_n).tanh()
    return ((1 - z) * n + z * state[0],)


GATES: dict[str, Gates] = {
    "RNN_TANH": lambda x, h, state: ((x + h).tanh(),),
    "RNN_RELU": lambda x, h, state: ((x + h).relu(),),
    "LSTM": _lstm,
    "GRU": _gru,
}


class Recurrence(nn.Module):
    """One layer in one direction: matrix layers `input`, `hidden`, and for some LSTMs `projection`."""

    def __init__(self, module: nn.RNNBase | Cell, mode: str, suffix: str = "") -> None:
        super().__init__()
        self.mode, self.hidden_size = mode, module.hidden_size
        self.outputs = getattr(module, "proj_size", 0) or module.hidden_size  #: features of the hidden state
        self.input = _linear(module, f"ih{suffix}")
        self.hidden = _linear(module, f"hh{suffix}")
        if getattr(module, "proj_size", 0):
            self.projection = _linear(module, f"hr{suffix}")

    @property
    def sizes(self) -> tuple[int, ...]:
        """Features of each part of the state."""
        return (self.outputs, self.hidden_size) if self.mode == "LSTM" else (self.outputs,)

    def step(self, product: Tensor, state: State) -> State:
        """From the product of one step's input and the state before it to the state after it."""
        h, *others = GATES[self.mode](product, self.hidden(state[0]), state)
        return (self.projection(h) if hasattr(self, "projection") else h, *others)

    def run(self, x: Tensor, state: State, backwards: bool) -> tuple[Tensor, State]:
        """All steps of inputs (batch, time, features): hidden states (batch, time, features), and the last state."""
        products = self.input(x)
        hidden: list[Tensor] = [x] * x.shape[1]
        for t in reversed(range(len(hidden))) if backwards else range(len(hidden)):
            state = self.step(products[:, t], state)
            hidden[t] = state[0]
        return torch.stack(hidden, 1), state


class Unrolled(nn.Module):
    """A recurrent module of torch with the same call; `l0`, `l0_reverse`, `l1` ... are its layers and directions."""

    mode: str
    num_layers: int
    batch_first: bool
    bidirectional: bool

    def __init__(self, module: nn.RNNBase) -> None:
        super().__init__()
        for name in FIELDS:
            if hasattr(module, name):
                setattr(self, name, getattr(module, name))
        self.directions = ("", "_reverse") if self.bidirectional else ("",)
        for name in self._names():
            self.add_module(name, Recurrence(module, module.mode, f"_{name}"))

    def _names(self) -> list[str]:
        return [f"l{k}{direction}" for k in range(self.num_layers) for direction in self.directions]

    def flatten_parameters(self) -> None:
        """Nothing to do, but models call it."""

    def forward(self, input: Tensor, hx: Tensor | State | None = None) -> tuple[Tensor, Tensor | State]:
        """Shapes, and the arguments' names, as for the float layer.

        Raises TypeError for a packed sequence, and ValueError for inputs or states of a wrong shape.
        """
        if isinstance(input, PackedSequence):
            raise TypeError("packed sequences cannot be read by tiles; pass padded tensors, or keep the layer digital")
        if input.dim() not in (2, 3):
            fail("recurrent input", tuple(input.shape), "(batch, time, features), (time, batch, features) or unbatched")
        single = input.dim() == 2
        x = input[None] if single else input if self.batch_first else input.transpose(0, 1)
        names = self._names()
        states = self._states(x, hx, single, names)
        last: list[State] = []
        for k in range(self.num_layers):
            outputs = []
            for direction in self.directions:
                part = getattr(self, f"l{k}{direction}")
                hidden, state = part.run(x, states[len(last)], bool(direction))
                outputs.append(hidden)
                last.append(state)
            x = torch.cat(outputs, -1)
        state = tuple(torch.stack(parts) for parts in zip(*last, strict=True))
        state = tuple(part[:, 0] for part in state) if single else state
        y = x[0] if single else x if self.batch_first else x.transpose(0, 1)
        return y, state if self.mode == "LSTM" else state[0]

    def _states(self, x: Tensor, hx: Tensor | State | None, single: bool, names: list[str]) -> list[State]:
        """The first state of every layer and direction, each part (batch, features)."""
        sizes = getattr(self, names[0]).sizes
        if hx is None:
            return [tuple(x.new_zeros(len(x), size) for size in sizes) for _ in names]
        shapes = [(len(names), size) if single else (len(names), len(x), size) for size in sizes]
        parts = _parts("first state of a recurrent layer", hx, shapes)
        return [tuple(part[i : i + 1] if single else part[i] for part in parts) for i in range(len(names))]


class UnrolledCell(Recurrence):
    """A recurrent cell of torch with the same call."""

    def __init__(self, module: Cell) -> None:
        kind = type(module).__name__.removesuffix("Cell")
        super().__init__(module, f"RNN_{module.nonlinearity.upper()}" if isinstance(module, nn.RNNCell) else kind)
        self.input_size, self.bias = module.input_size, module.bias

    def forward(self, input: Tensor, hx: Tensor | State | None = None) -> Tensor | State:
        """One step; shapes and arguments' names as for the float cell. Raises ValueError for other shapes."""
        if input.dim() not in (1, 2):
            fail("recurrent input", tuple(input.shape), "(batch, features) or (features,)")
        shapes = [(*input.shape[:-1], size) for size in self.sizes]
        zeros = tuple(map(input.new_zeros, shapes))
        state = zeros if hx is None else _parts("state of a recurrent cell", hx, shapes)
        state = self.step(self.input(input), state)
        return state if self.mode == "LSTM" else state[0]


def _parts(field: str, hx: Tensor | State, shapes: Sequence[tuple[int, ...]]) -> State:
    """A state as torch's modules take it, as a tuple; raises ValueError for other shapes than these."""
    parts = (hx,) if isinstance(hx, Tensor) else tuple(hx)
    if len(parts) != len(shapes):
        fail("parts of a recurrent state", len(parts), f"{len(shapes)}: (h, c) for an LSTM, h for others")
    for part, shape in zip(parts, shapes, strict=True):
        if tuple(part.shape) != shape:
            fail(field, tuple(part.shape), f"of shape {shape}")
    return parts


def _linear(module: nn.Module, name: str) -> nn.Linear:
    """One of a recurrent module's products, by the ends of its parameters' names; they are shared, not copied."""
    weight = getattr(module, f"weight_{name}")
    bias = None if name.startswith("hr") else getattr(module, f"bias_{name}", None)
    # on "meta" nothing is drawn to initialise it
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    linear.weight = weight
    if bias is not None:
        linear.bias = bias
    return linear


def _weights(module: nn.Module) -> list[Tensor | None]:
    """The weights that a recurrent module computes with, be they its parameters or computed from them."""
    if isinstance(module, Cell):
        return [module.weight_ih, module.weight_hh, module.bias_ih, module.bias_hh]
    assert isinstance(module, nn.RNNBase)
    return [weight for part in module.all_weights for weight in part]


def recurrent(module: nn.Module) -> bool:
    """Whether a module is one that `unrolled` takes: one whose weights are its own parameters.

    They are not where hooks compute them, as pruning and the older weight and spectral norms do.
    """
    return type(module) in LAYERS + CELLS and all(isinstance(w, nn.Parameter | None) for w in _weights(module))


def unrolled(module: nn.Module) -> nn.Module:
    """A module of matrix layers that computes what a recurrent one does in eval mode, and shares its parameters."""
    if isinstance(module, Cell):
        return UnrolledCell(module).train(module.training)
    assert isinstance(module, nn.RNNBase)
    return Unrolled(module).train(module.training)


def modes(network: nn.Module) -> dict[str, str]:
    """Which gates each unrolled part of a network has, by its name."""
    return {name: part.mode for name, part in network.named_modules() if isinstance(part, Recurrence)}


def products(module: nn.Module) -> Iterator[tuple[str, nn.Linear]]:
    """The matrix layers of a recurrent module by their names in it, such as "l0.input"."""
    return ((name, part) for name, part in unrolled(module).named_modules() if isinstance(part, nn.Linear))
