"""A search for the best optimum: rounds of starts that race, half of them moves from the best.

The first round is of fresh starts alone, each to its end. In a search that ends by itself it has
20, which show how many optima there are; in another as few as others need to race against. In each
later one half of the starts are moves from the best regular optimum so far (`moves`), and what
cannot come to it any more is given up (`race`). A search that may end before it has made all its
starts ends by `optima.unseen`.
"""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from jaxem.core import pool
from jaxem.core.status import Status
from jaxem.fitting import launch, moves, optima, race, restarts, starts
from jaxem.fitting.bundles import Bundle, bundle
from jaxem.fitting.plan import FitPlan

_SURE = 0.06  # better optima that are still to be seen, expected; one in 20 starts are 0.059
_LARGEST = 4 * starts.ROUND  # starts of a round: a few launches each, whatever it has
_TIMES = 3  # fresh starts that must have come to the best
_FOR_NOTHING = 2 * starts.ROUND  # starts, all without a regular optimum


def rounds(job: FitPlan, begun: Bundle, seconds: float | None = None) -> Iterator[Bundle]:
    """Yields the states of all starts so far, round by round; begun: those of the first round.

    seconds: about how long a piece takes; None where there is no need for one.
    """
    done, outcomes, best = [], [], None
    own = begun
    while True:
        for part in _run(job, own, best, seconds):
            own = part
            yield _joined([*done, own])
        done.append(jax.device_get(own))
        outcomes.append(jax.device_get(launch.conclude(job, own)).tree)
        found = _joined(outcomes)
        if _enough(job, found):
            return
        best = _best(found)
        own = launch.start(_next(job, _joined(done), found))


def moved(job: FitPlan, r: int) -> np.ndarray:
    """Which of r starts are moves: the second half of each round after the first, where there are
    three parts or more; of two any move is a fresh start."""
    found = np.zeros(r, bool)
    for first, size in _rounds(job):
        if first > 0 and job.provenance.model.n_components > 2:
            found[first + size // 2 : first + size] = True
    return found


def _rounds(job: FitPlan) -> Iterator[tuple[int, int]]:
    """-> (its first start, how many it has) of each round: 20, 40, then 80 after the first."""
    first, size, later = 0, job.search.n_first, starts.ROUND
    while first < job.search.n_most:
        yield first, size
        first, size = first + size, min(later, job.search.n_most - first - size)
        later = min(2 * later, _LARGEST)


def _run(
    job: FitPlan, states: Bundle, best: float | None, seconds: float | None
) -> Iterator[Bundle]:
    """One round, up to the end of each start or where its projection is under the best so far."""
    if best is None:
        yield from launch.pieces(job, states, job.max_iter, seconds)
        return
    seen: list[np.ndarray] = []
    for until in race.rungs(int(job.max_iter)):
        running = np.flatnonzero(states.tree.status == Status.RUNNING)
        if not len(running):
            return
        part = _at(states, running)
        for later in launch.pieces(job, part, until, seconds):
            part = jax.device_get(later)
            yield _put(states, running, part)
        states = _put(states, running, part)
        state = states.tree
        seen.append(state.objective * state.total_weight)
        states = _without(states, race.hopeless(seen, best))
        yield states


def _without(states: Bundle, hopeless: np.ndarray) -> Bundle:
    state = states.tree
    hopeless = hopeless & (state.status == Status.RUNNING)
    status = np.where(hopeless, np.int32(Status.GIVEN_UP), state.status)
    return bundle(state._replace(status=status), n_axes=1)


def _best(outcomes: Any) -> float:
    """The highest objective of a regular start; -inf where there is none."""
    own = optima.regular(outcomes)
    return float(np.max(outcomes.log_posterior, initial=-np.inf, where=own))


def _enough(job: FitPlan, outcomes: Any) -> bool:
    r, best = len(outcomes.status), _best(outcomes)
    if r >= job.search.n_most or not job.search.auto:
        return r >= job.search.n_most
    if best == -np.inf:
        return r >= _FOR_NOTHING
    fresh = ~moved(job, r)
    n_best = np.sum(optima.at(outcomes, best) & fresh)
    return optima.unseen(outcomes, fresh) <= _SURE and bool(n_best >= _TIMES)


def _next(job: FitPlan, states: Bundle, outcomes: Any) -> FitPlan:
    """The plan of the next round: fresh starts, and moves where there is something to move from."""
    first = len(outcomes.status)
    size = next(size for begin, size in _rounds(job) if begin == first)
    codes = starts.methods(job.search.init, first + size, job.rows.first is not None)[first:]
    k = job.provenance.model.n_components
    without: Any = job.moves  # made by the plan of a search
    kept, labels = np.full((size, job.model.n_components), -1, np.int32), without.labels
    own = np.flatnonzero(moved(job, first + size)[first:])
    if len(own) and _best(outcomes) > -np.inf:
        best, _ = restarts.best_of(outcomes.log_posterior, outcomes.status, outcomes.resolution)
        labels, overlap = moves.look(job, jax.tree.map(lambda leaf: leaf[best], states.tree.params))
        rng = np.random.default_rng([pool.seed_of(job.key), first])
        kept[own, :k] = moves.drawn(rng, overlap[:k, :k], len(own))
    return job._replace(methods=codes, moves=restarts.Moves(labels, kept), first=first)


def _joined(parts: list[Any]) -> Any:
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *jax.device_get(parts))


def _at(states: Bundle, index: np.ndarray) -> Bundle:
    return jax.tree.map(lambda leaf: leaf[index], states)


def _put(states: Bundle, index: np.ndarray, part: Bundle) -> Bundle:
    def put(whole: np.ndarray, own: Any) -> np.ndarray:
        out = np.array(whole)
        out[index] = own
        return out

    return jax.tree.map(put, states, part)
