"""What a search came to: its fits, and the best of them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxem.cli.fit_input import FitInput
from jaxem.cli.interval_table import Intervals
from jaxem.cli.parameter_tables import parts_of
from jaxem.cli.progress import Run
from jaxem.core import parameters
from jaxem.families import Product
from jaxem.fitting.driver import noted
from jaxem.fitting.plan import FitPlan
from jaxem.fitting.result import Result
from jaxem.models import HMM


class Found(NamedTuple):
    """The fits of a search, up to where Ctrl-C cut it short, and the place of the best of them."""

    jobs: Sequence[FitPlan]
    runs: Sequence[Run]
    index: int

    @property
    def best(self) -> Run:
        """Its parts in order of falling weight."""
        run = self.runs[self.index]
        return run._replace(result=_by_weight(run.result))


class Fitted(NamedTuple):
    """A search that is done, and what is told of it.

    notes: of the model file; remarks: what the rows leave open; intervals: where they
    are wanted.
    """

    found: Found
    data: FitInput
    notes: Mapping[str, Any]
    remarks: Sequence[str]
    intervals: Intervals | None = None

    @property
    def result(self) -> Result:
        """The best fit, its parts in order of falling weight."""
        return self.found.best.result


def _by_weight(result: Result) -> Result:
    """The same fit with its parts in order of falling weight: as printed, so everywhere.

    States that only some others lead to stay in the order that says which.
    """
    model: Any = result.provenance.model
    if isinstance(model, HMM) and model.transitions != "full":
        return result
    params, health, collapsed = result.params, result.health, result.collapsed
    shares = health.count if isinstance(model, HMM) else params.weights
    order = np.argsort(-shares, kind="stable")
    by_weight = {
        "params": parameters.take(model.constraints, params, order),
        "health": jax.tree.map(lambda leaf: leaf[order], health),
        "collapsed": collapsed[order],
    }
    return result._replace(**by_weight)


def left_open(found: Found, names: Sequence[str]) -> tuple[str, ...]:
    """What the rows leave open in the best fit, by the names of its columns."""
    result = found.best.result
    if not np.isfinite(result.log_likelihood):
        return ()
    return noted(found.jobs[found.index], result, _in_blocks(result, names))[1]


def _in_blocks(result: Result, names: Sequence[str]) -> Any:
    """The names of the columns, of a product those of each block."""
    model = result.provenance.model
    if not isinstance(model.family, Product):
        return names
    parts = parts_of(model, result.params, names)
    return {name: part.names for (name, _), part in zip(model.family.blocks, parts, strict=True)}
