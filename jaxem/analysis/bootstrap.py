"""How estimates vary: the same fit of many data sets that are drawn like the one at hand.

theta*[b] = the fit of x*[b],    b = 1 .. n_boot

Nonparametric: x*[b] are n rows of x, drawn with replacement: the rows themselves, with multinomial
counts as weights (Efron 1979). Parametric: x*[b] is drawn from the fitted model. Components are
brought into the order of the fit (`alignment`).
"""

from typing import Any, NamedTuple

import jax
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from jaxem.analysis import alignment, resampling
from jaxem.analysis.intervals import ConfidenceIntervals
from jaxem.core import checks, parameters, text_tables
from jaxem.core.contracts import Model, Params, Prior, Rows
from jaxem.core.dataset import as_dataset
from jaxem.core.inputs import waits
from jaxem.core.names import names
from jaxem.core.status import CONVERGED, tally
from jaxem.fitting import keys, refits, starts
from jaxem.fitting.agreement import agreement
from jaxem.fitting.effort import program
from jaxem.fitting.options import Options, Starts
from jaxem.fitting.plan import prepare

_MOST_SHOWN = 40  # numbers


class Bootstrap(NamedTuple):
    """The refits, on the host; every array has a leading axis n_boot.

    params: with components in the order of the fit, and angles within half a turn of its own.
    log_likelihood: of each on its own data.
    status: a `jaxem.Status` each; those that did not converge are left out of everything below.
    estimate: the parameters that were given. parametric: how the data was drawn.
    """

    params: Params
    log_likelihood: Float[np.ndarray, " b"]
    status: Int[np.ndarray, " b"]
    estimate: Params
    parametric: bool

    @property
    def converged(self) -> np.ndarray:
        return np.isin(self.status, CONVERGED)

    @property
    def n_failed(self) -> int:
        """Refits that did not converge: DEGENERATE, NONFINITE, MAX_ITER or DECREASED."""
        return int(np.sum(~self.converged))

    @property
    def standard_errors(self) -> Params:
        """The standard deviation over refits; NaN under two."""
        return self._each(lambda values: np.std(values, axis=0, ddof=1), least=2)

    @property
    def bias(self) -> Params:
        """The mean over refits less the estimate."""
        means = self._each(lambda values: np.mean(values, axis=0), least=1)
        return jax.tree.map(lambda mean, of: mean - np.asarray(of), means, self.estimate)

    def intervals(self, level: Any = 0.95) -> ConfidenceIntervals:
        """Percentile intervals: the (1 - level) / 2 and (1 + level) / 2 quantiles of the refits."""
        if not 0 < level < 1:
            raise ValueError(f"level is {level!r}; give a number between 0 and 1, such as 0.95")
        ends = ((1 - level) / 2, (1 + level) / 2)
        return ConfidenceIntervals(
            *(self._each(lambda values: np.quantile(values, end, axis=0), 1) for end in ends)  # noqa: B023
        )

    def _each(self, function: Any, least: int) -> Params:
        good = self.converged

        def of(leaf: Any) -> np.ndarray:
            values = np.asarray(leaf)[good]
            if len(values) < least:
                return np.full(values.shape[1:], np.nan, values.dtype)
            return np.asarray(function(values), values.dtype)

        return jax.tree.map(of, self.params)

    def __str__(self) -> str:
        kind = "parametric" if self.parametric else "nonparametric"
        lines = [f"{len(self.status)} {kind} bootstrap refits, {self._endings()}"]
        trees = (self.estimate, self.standard_errors, *self.intervals())
        rows: list[tuple[str, ...]] = [("", "estimate", "std. error", "2.5 %", "97.5 %")]
        columns = [np.concatenate([np.ravel(a) for a in jax.tree.leaves(tree)]) for tree in trees]
        for called, *values in zip(names(self.estimate), *columns, strict=True):
            rows.append((called, *(f"{value:.6g}" for value in values)))
        shown = rows[: _MOST_SHOWN + 1]
        lines += text_tables.lines(shown)
        if len(rows) > len(shown):
            lines.append(f"and {len(rows) - len(shown)} more numbers")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def _endings(self) -> str:
        if not self.n_failed:
            return "all converged"
        return f"{self.n_failed} failed and left out: {tally(self.status[~self.converged])}"


class _Refits(NamedTuple):
    params: Params
    log_likelihood: Array
    status: Array
    agreement: Float[Array, "b k k"]


@waits
def bootstrap(
    model: Model,
    params: Params,
    x: Any,
    *,
    key: Any,
    n_boot: int = 1000,
    parametric: Any = False,
    n_init: int = 0,
    init: Any = "portfolio",
    sample_weight: Any = None,
    prior: Prior | None = None,
    fixed: Any = None,
    lengths: Any = None,
    tol: Any = 1e-6,
    max_iter: Any = 1000,
    reg_covar: Any = 0.0,
    acceleration: Any = "squarem",
    block_size: int | None = None,
    min_count: Any = None,
    min_variance_ratio: Any = 1e-3,
    max_eigenvalue_ratio: Any = None,
) -> Bootstrap:
    """Refit a fitted model to `n_boot` data sets drawn like x, to see how its parameters vary.

    params: of the fit; every refit starts from them, and from `n_init` fresh starts by `init`.
    parametric: draw the data from the model, with the cells that are missing in x, regressors,
        exposures and lengths of sequences as they are; else draw rows of x with replacement, or
        whole sequences. Weights are frequencies: of so many rows as they add up to.
    The other options are those of the fit.

    `.intervals(0.95)`, `.standard_errors`, `.n_failed`; it prints as a table.
    Errors: ValueError for bad input, and for one sequence unless parametric.
    Source: Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapters 6 and 13.
    """
    n_boot = checks.whole(n_boot, "n_boot", least=1)
    n_init = checks.whole(n_init, "n_init", least=0)
    parametric = checks.flag(parametric, "parametric")
    starts.check(init)
    checks.key(key)
    if not checks.is_concrete(x, params, sample_weight):
        raise ValueError("the data is traced; call bootstrap outside of jit, vmap and grad")
    data = as_dataset(model, x, sample_weight, None, lengths)
    data = resampling.individuals(data) if parametric else data
    options = Options(prior, fixed, tol, max_iter, reg_covar, acceleration, block_size, min_count,
                      min_variance_ratio, max_eigenvalue_ratio)  # fmt: skip
    job = prepare(data, options, Starts(params))
    rows, warm = job.rows, job.params
    estimate = jax.device_put(jax.tree.map(lambda leaf: leaf[0], jax.device_get(warm)))
    key_data, key_starts = jax.random.split(key)
    sets_keys = keys.split(key_data, n_boot)
    if parametric:

        def simulate(index: np.ndarray) -> Any:
            return resampling.simulated(model, estimate, rows, sets_keys[index])

        sets = refits.Sets(simulate)
    else:
        units = resampling.units(data)

        def redraw(index: np.ndarray) -> Any:
            return resampling.counts(sets_keys[index], units)

        sets = refits.Sets(redraw, refits.own_weight, rows)

    def keep(found: refits.Fits) -> _Refits:
        best = found.best
        shared = _agreements(model, rows, estimate, best.params, job.block_size)
        return _Refits(best.params, best.log_likelihood, best.status, shared)

    methods = starts.methods(init, n_init, job.rows.first is not None)
    begin = refits.Begin(keys.split(key_starts, n_boot), warm, methods)
    found = refits.run(job, sets, begin, keep)
    order = alignment.orders(model, found.agreement)
    own: Any = jax.device_get(estimate)
    params = parameters.unwrap(
        model.constraints, alignment.aligned(model, found.params, order), own
    )
    return Bootstrap(params, found.log_likelihood, found.status, own, parametric)


@program("model", "block_size", often=True)
def _agreements(
    model: Model, rows: Rows, reference: Params, params: Params, block_size: int
) -> Float[Array, "b k k"]:
    def one(own: Params) -> Float[Array, "k k"]:
        return agreement(model, rows, reference, own, block_size)

    return lax.map(one, params)
