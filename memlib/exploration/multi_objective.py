"""Multi-objective search of a design space, by Optuna, with every evaluation in the project's own store.

A search is a function of its arguments, whatever the number of workers. Optuna proposes designs in batches of a fixed
size; they are evaluated and handed back in a fixed order. So a search needs no memory of its own. One that was killed
starts again from the beginning, asks the same questions, and finds in the store what was evaluated. Its result is that
of a search that was never killed. (Optuna's own database would not do: it does not keep its samplers' random state.)
"""

import itertools
import warnings
from collections.abc import Callable, Mapping as MappingType, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd

from memlib.base.canonical import dumps
from memlib.base.checks import fail, is_number, one_of, whole
from memlib.base.configuration import Config, config
from memlib.evidence.answers import unpack
from memlib.evidence.intervals import crossed_interval, seed_interval
from memlib.exploration.pareto import SENSES, front_probability, mean_draws
from memlib.exploration.space import Design, Space
from memlib.sweeps.engine import SweepError, sweep
from memlib.sweeps.points import Evaluate, Point, tasks
from memlib.sweeps.store import Store

SAMPLERS = ("tpe", "random")
ACCURACY = "accuracy"  #: the objective that is uncertain: a result holds its right and wrong answers
BATCH = 8  #: designs proposed at once; part of what decides a search, unlike the number of workers
POSSIBLE = 0.05  #: a design with less chance than this is not looked at more closely
EXHAUSTED = 20  #: batches without a new design, after which nothing new is expected of the sampler
LISTED = 100_000  #: designs of a space, up to which those that the sampler missed are then looked up
STEP = 8  #: designs looked at more closely before their neighbours' chances are reckoned again
DRAWS = 1000  #: draws that probabilities are counted in

MakePoint = Callable[..., Point]


@config
class Fidelity(Config):
    """How closely designs are looked at."""

    images: int
    seeds: int  #: device seeds 0, 1, ...

    def __post_init__(self) -> None:
        self.check(whole, "images", "seeds", low=1)


@dataclass(frozen=True)
class Known:
    """The knowledge of one design."""

    design: Design
    fidelity: int  #: number of it, 0 the first
    hits: np.ndarray  #: (seeds, images) right and wrong
    values: dict[str, float]  #: of each objective, mean over seeds


@dataclass(frozen=True)
class Evaluator:
    """How designs are evaluated, and where results are kept; the arguments of `sweep` and `search`."""

    evaluate: Evaluate
    make_point: MakePoint
    objectives: MappingType[str, str]
    store: Path | str
    options: MappingType[str, Any]

    def __call__(self, designs: Sequence[Design], fidelity: Fidelity, number: int = 0) -> list[Known | None]:
        """The knowledge of each design at this fidelity; None if a chip of it failed."""
        points = [self.make_point(design, images=fidelity.images) for design in designs]
        seeds = range(fidelity.seeds)
        sweep(points, self.evaluate, self.store, seeds, errors="keep", **self.options)
        known: list[Known | None] = []
        with Store(self.store) as kept:
            for design, point in zip(designs, points, strict=True):
                wanted = tasks([point], self.evaluate, lambda _: seeds)
                results, failed = kept.get(wanted)
                rows = [results[key] for key in wanted if key in results]  # in the order of seeds, unlike the store's
                known.append(None if failed else self._known(design, rows, fidelity, number))
        return known

    def _known(self, design: Design, rows: list[dict[str, Any]], fidelity: Fidelity, number: int) -> Known:
        for name in self.objectives:
            one_of("objective", name, [key for key, value in rows[0].items() if is_number(value)])
        if fidelity.seeds < 2 and "correct" not in rows[0]:
            fail("seeds", fidelity.seeds, "at least 2, where results hold no answers to single images, `correct`")
        values = {name: float(np.mean([row[name] for row in rows])) for name in self.objectives}
        # without answers to single images, chips alone vary
        hits = [unpack(row["correct"], fidelity.images) if "correct" in row else [row[ACCURACY]] for row in rows]
        return Known(design, number, np.array(hits, float), values)


def search(
    space: Space,
    evaluate: Evaluate,
    make_point: MakePoint,
    objectives: MappingType[str, str],
    store: str | Path,
    budget: int,
    fidelities: Sequence[Fidelity],
    seed: int = 0,
    scheduler: str | None = None,
    jobs: int | None = None,
) -> pd.DataFrame:
    """Look for the designs of the Pareto front: many at a low fidelity first, then the likely ones more closely.

    Args:
        space: the designs to choose from.
        evaluate: as of `sweep`; returns the objectives, and `correct`, the answers to the first point["images"] test
            images as `answers.pack` has them. Without these the accuracies of chips alone say how sure things are.
        make_point: make_point(design, images=...) is the point of a sweep that a design is.
        objectives: "min" or "max" of the names of results; "accuracy", a fraction, must be among them, and is the one
            that is uncertain. Others are means over seeds.
        store: SQLite file of finished points; see `memlib.sweeps.store`.
        budget: how many different designs are tried at the first fidelity: all, in the order of `Space.grid`, if the
            space has no more.
        fidelities: each closer than the one before. Designs whose probability to be on the front is at least
            `POSSIBLE` are evaluated at the next, until all of them are known at the last; see `climb`.
        seed: of the search, not of devices.
        scheduler, jobs: see `sweep`.

    Returns:
        A row per design, in the order tried; see `table`. Designs that fail are left out, with a warning.

    Raises:
        SweepError: if every design of the first batch fails.
        ValueError: for arguments that are not allowed.
    """
    if not isinstance(objectives, MappingType) or objectives.get(ACCURACY) != "max":
        fail("objectives", objectives, f"names with senses, {ACCURACY!r}: 'max' among them")
    if not isinstance(fidelities, Sequence) or not all(isinstance(f, Fidelity) for f in fidelities):
        fail("fidelities", fidelities, "a list of Fidelity")
    for sense in objectives.values():
        one_of("sense", sense, SENSES)
    if not fidelities or any(b.images * b.seeds <= a.images * a.seeds for a, b in itertools.pairwise(fidelities)):
        fail("fidelities", list(fidelities), "at least one, each closer than the one before")
    evaluator = Evaluator(evaluate, make_point, objectives, store, {"scheduler": scheduler, "jobs": jobs})
    known = explore(space, evaluator, budget, fidelities[0], seed)
    return table(climb(known, evaluator, fidelities), objectives)


def explore(
    space: Space, evaluator: Evaluator, budget: int, fidelity: Fidelity, seed: int = 0, sampler: str = "tpe"
) -> list[Known]:
    """The designs that a search tries, at one fidelity, in order; arguments and errors are those of `search`.

    The sampler is "tpe" (tree-structured Parzen estimator), or "random" to compare with.
    """
    budget = whole("budget", budget, 1)
    study = _study(evaluator.objectives, seed, sampler)
    known: dict[str, Known | None] = {}
    idle = 0 if space.listed(budget) is None else EXHAUSTED  # nothing to choose where there is room for all
    while idle < EXHAUSTED and len(known) < budget:
        trials = [study.ask() for _ in range(BATCH)]
        before = len(known)
        keys = _try([space.suggest(trial) for trial in trials], known, evaluator, fidelity, budget)
        idle = 0 if len(known) > before else idle + 1
        for trial, key in zip(trials, keys, strict=True):
            if tried := known.get(key):
                study.tell(trial, [tried.values[name] for name in evaluator.objectives])
            else:  # failed, or beyond the budget
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
    if len(known) < budget:  # what was not proposed
        designs = space.listed(max(budget, LISTED)) or []
        for start in range(0, len(designs), BATCH):
            _try(designs[start : start + BATCH], known, evaluator, fidelity, budget)
    found = [design for design in known.values() if design]
    if len(found) < len(known):
        failed = f"{len(known) - len(found)} of {len(known)} designs failed, and are left out"
        warnings.warn(f"{failed}; {_see(evaluator)}", stacklevel=2)
    return found


def _try(
    designs: Sequence[Design], known: dict[str, Known | None], evaluator: Evaluator, fidelity: Fidelity, budget: int
) -> list[str]:
    """Add to `known` what designs are new points, as far as the budget goes; the key of each design.

    Raises SweepError if every design so far failed.
    """
    keys = [dumps(evaluator.make_point(design, images=fidelity.images)) for design in designs]
    first = dict(zip(reversed(keys), reversed(designs), strict=True))  # some are one point
    new = [key for key in dict.fromkeys(keys) if key not in known][: budget - len(known)]
    if new:
        known |= zip(new, evaluator([first[key] for key in new], fidelity), strict=True)
        if not any(known.values()):
            raise SweepError(f"all of the first {len(known)} designs failed; {_see(evaluator)}")
    return keys


def _see(evaluator: Evaluator) -> str:
    return f"to see what failed: python -m memlib status {evaluator.store}"


def climb(
    known: Sequence[Known],
    evaluator: Evaluator,
    fidelities: Sequence[Fidelity],
    wanted: Callable[[Sequence[Known]], np.ndarray] | None = None,
) -> list[Known]:
    """Look more closely at the likely designs, until each of them is known as well as can be.

    Args:
        known: of designs, at the first fidelity; others: see `search`.
        wanted: how likely designs are; None: to be on the front. Those at least as likely as `POSSIBLE` are evaluated
            at their next fidelity, the least known first and of these the likeliest, `STEP` at a time. Asked again
            after each step, as what is learnt of one design says something of the others.

    Returns:
        What is then known of each, in the same order; a design that fails stays as it was.
    """
    known, failed = list(known), set()
    wanted = wanted or (lambda designs: probabilities(designs, evaluator.objectives))
    while True:
        likely = wanted(known)
        allowed = [i for i, k in enumerate(known) if i not in failed and k.fidelity + 1 < len(fidelities)]
        if not (further := [i for i in allowed if likely[i] >= POSSIBLE]):
            return known
        number = min(known[i].fidelity for i in further) + 1
        chosen = sorted((i for i in further if known[i].fidelity + 1 == number), key=lambda i: -likely[i])[:STEP]
        again = evaluator([known[i].design for i in chosen], fidelities[number], number)
        for i, better in zip(chosen, again, strict=True):
            known[i] = better or known[i]
            failed |= set() if better else {i}


def probabilities(known: Sequence[Known], objectives: MappingType[str, str]) -> np.ndarray:
    """The probability (designs,) of each design to be on the front, by the knowledge of all."""
    if not known:
        return np.zeros(0)
    draws = np.tile([[*k.values.values()] for k in known], (DRAWS, 1, 1)).astype(float)
    draws[..., list(objectives).index(ACCURACY)] = mean_draws([k.hits for k in known], DRAWS)
    return front_probability(draws, list(objectives.values()))


def table(known: Sequence[Known], objectives: MappingType[str, str]) -> pd.DataFrame:
    """A row per design: its fields, the objectives, and of the accuracy `low` and `high` (95 %), `n` and `images`.

    `fidelity` counts from 0; `on_front` is the probability to be on the front of all these designs.
    """
    if not known:
        return pd.DataFrame()
    rows = []
    for k in known:
        seeds, images = k.hits.shape
        i = crossed_interval(k.hits) if images > 1 else seed_interval(k.hits[:, 0], constant=True)
        size = {"low": i.low, "high": i.high, "n": seeds, "images": images, "fidelity": k.fidelity}
        rows.append({**k.design, **k.values, **size})
    return pd.DataFrame(rows).assign(on_front=probabilities(known, objectives))


def _study(objectives: MappingType[str, str], seed: int, sampler: str) -> optuna.Study:
    one_of("sampler", sampler, SAMPLERS)
    seed = whole("seed", seed, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # of how conditional axes are grouped
        tree = optuna.samplers.TPESampler(multivariate=True, group=True, seed=seed)
    chosen = tree if sampler == "tpe" else optuna.samplers.RandomSampler(seed)
    directions = [optuna.study.StudyDirection[f"{sense.upper()}IMIZE"] for sense in objectives.values()]
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it would announce itself
    try:
        return optuna.create_study(sampler=chosen, directions=directions)
    finally:
        optuna.logging.set_verbosity(verbosity)
