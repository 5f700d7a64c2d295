"""Wire resistance: what the wires of a crossbar make of its cells, exactly.

Every row is driven at its left end through `r_driver`; a wire segment `r_row` lies before each of its cells. Column
wires run down, a segment `r_col` after each cell, and end in a virtual ground behind `r_sense`. A cell joins its row to
its column through g in series with `r_transistor`. For fixed conductances the array is linear, and two matrices say
all: the effective conductances G_eff, I = V @ G_eff, and the input admittance Y, power = v^T Y v.

The method: a line (a column, or a row) is described by the admittance matrix of its ports, where it crosses the other
lines; recursions along its ladder give it without any subtraction (`_lines`). Lines are then joined one by one
(`_join`). Segments t between a line's ports and the next line change the ports' admittance U, their currents F per volt
at the terminals of all lines so far, and the admittance E of these terminals into

    U' = S U,  F' = S F,  E' = E - t F^T S F,  with S = (1 + t U)^-1,

and the next line adds its own. Resistances are factors only, and each may be 0. Joining columns from right to left,
U becomes Y; joining rows from top to bottom, E does, and by reciprocity F becomes G_eff either way.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from memlib.base.checks import fail
from memlib.wires.resistances import Resistance, Wires

#: Arrays are solved together while their matrices have about this many elements, which caches hold.
CHUNK_ELEMENTS = 2**20


@dataclass(frozen=True)
class Multiport:
    """A resistive array seen from its terminals."""

    g_eff: Tensor  #: (..., rows, cols) S, I = V @ g_eff: column currents with every row driven
    admittance: Tensor  #: (..., rows, rows) S, symmetric; currents into the rows are Y V, the power is V^T Y V


def solve(g: Tensor, wires: Wires) -> Multiport:
    """Effective conductances and input admittance of arrays with resistive wires, in float64 on the device of `g`.

    Differentiable in `g` and in resistances that are tensors. All leading dimensions are broadcast.

    Args:
        g: (..., rows, cols) conductances of the cells, S, >= 0.
        wires: resistances, ohm.

    Raises:
        ValueError: for conductances or resistances that are negative or not finite, or shapes that do not fit.
    """
    return Multiport(*_solve(g, wires, g_eff=True, admittance=True))


def effective_conductance(
    g: Tensor,
    r_row: Resistance = 0.0,
    r_col: Resistance = 0.0,
    r_driver: Resistance = 0.0,
    r_sense: Resistance = 0.0,
    r_transistor: Resistance = 0.0,
) -> Tensor:
    """The matrix (..., rows, cols), S, with which column currents are V @ G_eff.

    See `solve` for the cells `g` and the errors, and `Wires` for the resistances, ohm.
    """
    wires = Wires(r_row, r_col, r_driver, r_sense, r_transistor)
    [g_eff] = _solve(g, wires, g_eff=True, admittance=False)
    return g_eff


def input_admittance(g: Tensor, wires: Wires) -> Tensor:
    """The matrix (..., rows, rows), S, with which currents into the rows are Y V; arguments as of `solve`."""
    [admittance] = _solve(g, wires, g_eff=False, admittance=True)
    return admittance


def _solve(g: Tensor, wires: Wires, g_eff: bool, admittance: bool) -> list[Tensor]:
    """[effective conductances, input admittance], those that are asked for."""
    _check_conductances(g)
    rows, cols = g.shape[-2:]
    parts = [
        _resistance("r_row", wires.row, g, cols),
        _resistance("r_col", wires.col, g, rows),
        _resistance("r_driver", wires.driver, g)[..., None],
        _resistance("r_sense", wires.sense, g)[..., None],
    ]
    transistor = _resistance("r_transistor", wires.transistor, g)
    try:
        cells = g.double() / (1 + g.double() * transistor)
        batch = torch.broadcast_shapes(cells.shape[:-2], *(part.shape[:-1] for part in parts))
        cells = cells.expand(*batch, rows, cols).reshape(-1, rows, cols)
    except RuntimeError:
        shapes = [tuple(part.shape) for part in (*parts[:2], parts[2][..., 0], parts[3][..., 0], transistor)]
        fail("shapes of r_row, r_col, r_driver, r_sense, r_transistor", shapes, f"fit for g of shape {tuple(g.shape)}")
    parts = [part.expand(*batch, part.shape[-1]).reshape(-1, part.shape[-1]) for part in parts]
    chunk = max(1, CHUNK_ELEMENTS // max(rows, cols) ** 2)
    done = [
        _arrays(cells[i : i + chunk], [part[i : i + chunk] for part in parts], g_eff, admittance)
        for i in range(0, max(len(cells), 1), chunk)
    ]
    return [torch.cat(part).reshape(*batch, *part[0].shape[1:]) for part in zip(*done, strict=True)]


def _check_conductances(g: Tensor) -> None:
    if not isinstance(g, Tensor) or not g.is_floating_point():
        fail("g", type(g).__name__ if not isinstance(g, Tensor) else g.dtype, "a floating-point tensor, S")
    if g.dim() < 2 or not g.shape[-1] or not g.shape[-2]:
        fail("g.shape", tuple(g.shape), "(..., rows, cols)")
    wrong = ~((g >= 0) & g.isfinite())
    if wrong.any():
        fail("g", g[wrong][0].item(), "finite conductances, at least 0")


def _resistance(field: str, value: Resistance, g: Tensor, length: int | None = None) -> Tensor:
    """As float64 on the device of `g`, (..., length) where the resistance is one of segments."""
    value = torch.as_tensor(value, dtype=torch.float64, device=g.device)
    wrong = ~((value >= 0) & value.isfinite())
    if wrong.any():
        fail(field, value[wrong][0].item(), "finite resistances, at least 0")
    if length is None:
        return value
    if value.dim() and value.shape[-1] not in (1, length):
        fail(f"{field}.shape", tuple(value.shape), f"(..., {length}), a value per segment")
    return value.expand(*value.shape[:-1], length)


def _arrays(g: Tensor, resistances: list[Tensor], g_eff: bool, admittance: bool) -> list[Tensor]:
    """As `_solve` of arrays (batch, rows, cols): by columns or rows, what costs less.

    The resistances are those of rows' and columns' segments, drivers and sense nodes, each (batch, lines).
    """
    r_row, r_col, r_driver, r_sense = resistances
    rows, cols = g.shape[1:]
    right_to_left = torch.cat((r_row[:, 1:].flip(-1), r_row[:, :1] + r_driver), 1)
    top_to_bottom = torch.cat((r_col[:, :-1], r_col[:, -1:] + r_sense), 1)
    columns = _cost(rows, cols, _active(right_to_left), g_eff, False)
    if columns <= _cost(cols, rows, _active(top_to_bottom), g_eff or admittance, admittance):
        y, f, _ = _join(_lines(g.flip(-1).mT, top_to_bottom), right_to_left, g_eff, False)
        f = f.flip(-1)
    else:
        _, f, y = _join(_lines(g.flip(-1), right_to_left), top_to_bottom, True, admittance)
        f = f.mT.flip(-1)
    found = [f] if g_eff else []
    return [*found, (y + y.mT) / 2] if admittance else found


def _active(links: Tensor) -> list[bool]:
    """Which links (batch, lines) change anything: those above 0, or whose derivative may be asked for."""
    return [True] * links.shape[1] if links.requires_grad else (links != 0).any(0).tolist()


def _cost(ports: int, lines: int, active: list[bool], transfer: bool, terminals: bool) -> float:
    """Floating-point operations of `_join`."""
    links, pairs = sum(active), sum(k + 1 for k, on in enumerate(active) if on)
    cost = lines * 10 * ports**2 + links * 5 * ports**3
    if transfer:
        cost += 2 * ports**2 * pairs
    if terminals:
        cost += 2 * ports * sum((k + 1) ** 2 for k, on in enumerate(active) if on)
    return cost


def estimated_seconds(rows: int, cols: int) -> float:
    """About how long one array of many takes, s, on two cores (45 ms for 128 x 128)."""
    by_columns = _cost(rows, cols, [True] * cols, transfer=True, terminals=False)
    by_rows = _cost(cols, rows, [True] * rows, transfer=True, terminals=True)
    return min(by_columns, by_rows) / 3.5e10


@dataclass(frozen=True)
class _Lines:
    """Lines as seen from their ports: `generators` (batch, lines, ports) of their admittance matrices."""

    diagonal: Tensor  # current into a port at 1 V, others and the terminal at 0 V, S
    off_diagonal: Tensor  # port p's factor of minus the current out of an earlier port, S
    cells: Tensor  # the earlier port's factor
    decay: Tensor  # sums of -log(voltage ratio) along the line, towards its far end
    terminal: Tensor  # current into the terminal per volt at a port, S

    def admittance(self, k: int) -> Tensor:
        """(batch, ports, ports), S, of line k."""
        decay = self.decay[:, k]
        upper = torch.exp((decay[:, :, None] - decay[:, None, :]).clamp(max=0))  # below the diagonal it may overflow
        upper = (upper * self.cells[:, k, :, None] * self.off_diagonal[:, k, None, :]).triu(1)
        return torch.diag_embed(self.diagonal[:, k]) - upper - upper.mT


def _lines(g: Tensor, segments: Tensor) -> _Lines:
    """Admittance matrices of lines with cells g (batch, lines, ports) and segments (batch, ports), one after each port.

    A line's node p sees an admittance `left` before it, its own cell, and an impedance `right` behind it, up to the
    terminal at 0 V. Both come from recursions of positive terms, and so does everything below.
    """
    cells, r = g.movedim(-1, 0), segments.mT[:, :, None]
    ports = len(cells)
    from_left, from_right = [torch.zeros_like(cells[0])], [r[-1].expand_as(cells[0])]
    for p in range(ports - 1):
        total = from_left[p] + cells[p]
        from_left.append(total / (1 + r[p] * total))
        last = ports - 1 - p
        from_right.append(r[last - 1] + from_right[p] / (1 + cells[last] * from_right[p]))
    left, right = torch.stack(from_left, -1), torch.stack(from_right[::-1], -1)
    loaded = 1 + (left + g) * right
    decay = torch.log1p(segments[:, None, :-1] * (left + g)[..., :-1]).cumsum(-1)
    passed = torch.log1p(g * right)  # a share of the current leaves through each cell on the way to the terminal
    return _Lines(
        diagonal=g * (1 + left * right) / loaded,
        off_diagonal=g * right / loaded,
        cells=g,
        decay=torch.nn.functional.pad(decay, (1, 0)),
        terminal=g / loaded * torch.exp(passed.cumsum(-1) - passed.sum(-1, keepdim=True)),
    )


def _join(lines: _Lines, links: Tensor, transfer: bool, terminals: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Join lines through links (batch, lines), one behind each line's ports.

    Returns:
        U (batch, ports, ports), F (batch, ports, lines) or (batch, ports, 0), and E (batch, lines, lines), which stays
        that of single lines unless `terminals`.
    """
    batch, _, ports = lines.cells.shape
    both = lines.cells.new_zeros(batch, ports, ports)  # U and F side by side
    e = torch.diag_embed(lines.terminal.sum(-1))
    eye = torch.eye(ports, dtype=both.dtype, device=both.device)
    for k, active in enumerate(_active(links)):
        own = lines.admittance(k)
        parts = [own if k == 0 else both[..., :ports] + own, both[..., ports:]]
        both = torch.cat([*parts, lines.terminal[:, k, :, None]] if transfer else parts, -1)
        if not active:
            continue
        link = links[:, k, None, None]
        before, u = both[..., ports:], both[..., :ports]
        # of a symmetric matrix whose eigenvalues are at least 1
        both = torch.cholesky_inverse(torch.linalg.cholesky_ex(eye + link * u).L) @ both
        if terminals:
            e[:, : k + 1, : k + 1] -= before.mT @ (link * both[..., ports:])
    return both[..., :ports], both[..., ports:], e
