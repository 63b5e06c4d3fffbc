"""How many components? k against k + 1 by the likelihood ratio, its law found by simulation.

    -2 log lambda = 2 (l(k + 1) - l(k))

has no chi-square law, since the smaller model lies on the boundary of the larger. It is compared
with the same statistic of data sets drawn from the fit with k, both models fitted to each of them
(McLachlan 1987, Appl. Statist. 36, 318-324):

    p = (1 + #{b : statistic*[b] >= statistic}) / (n + 1)
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Unpack

import jax
import numpy as np
from jaxtyping import Array, Float

from jaxem.analysis import resampling
from jaxem.core import checks
from jaxem.core.contracts import Model, Rows
from jaxem.core.dataset import as_dataset, read
from jaxem.core.inputs import waits
from jaxem.core.status import Status
from jaxem.fitting import refits, starts
from jaxem.fitting.driver import uncut
from jaxem.fitting.keys import Keys, split
from jaxem.fitting.options import FitOptions, Options, Starts
from jaxem.fitting.padded_components import padded
from jaxem.fitting.plan import FitPlan, prepare
from jaxem.fitting.result import Result


class LRTest(NamedTuple):
    """k components against more, and what the statistic is under k.

    null, alternative: the fits of x. statistic: 2 (l(alternative) - l(null)). replicates: the same
    of each simulated data set, on the host; NaN where a fit of it did not come to a regular end:
    these are left out of the p-value, `n_failed` of them.
    """

    null: Result
    alternative: Result
    statistic: float
    replicates: Float[np.ndarray, " b"]

    @property
    def n_failed(self) -> int:
        return int(np.sum(np.isnan(self.replicates)))

    @property
    def p_value(self) -> float:
        """(1 + the replicates that are at least as large) / (1 + the replicates)."""
        there = self.replicates[~np.isnan(self.replicates)]
        return float((1 + np.sum(there >= self.statistic)) / (1 + len(there)))

    @property
    def trusted(self) -> bool:
        """Whether both fits of the data converged."""
        return bool(self.null.converged) and bool(self.alternative.converged)

    def __str__(self) -> str:
        null, other = (of.provenance.model.n_components for of in (self.null, self.alternative))
        there = self.replicates[~np.isnan(self.replicates)]
        model = self.null.provenance.model
        lines = [
            f"likelihood-ratio test of {null} against {other} {model.part}s, {model!r}",
            f"log-likelihood  {float(self.null.log_likelihood):.4f} and "
            f"{float(self.alternative.log_likelihood):.4f}",
            f"statistic       {self.statistic:.4f}",
            f"p-value         {self.p_value:.4g}, from {len(there)} simulated data sets"
            + (f"; {self.n_failed} more had no regular fit" if self.n_failed else ""),
        ]
        if len(there):
            middle, high = np.quantile(there, (0.5, 0.95))
            parts = f"{null} {model.part}{'s' * (null > 1)}"
            lines.append(f"under {parts}   median {middle:.4f}, 95 % below {high:.4f}")
        for fit in (self.null, self.alternative):
            if not fit.converged:
                lines.append(f"not to be trusted: {fit.provenance.model!r} {fit.explanation()}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)


@waits
def lr_test(
    model: Model,
    x: Any,
    *,
    key: Any,
    n_boot: int = 199,
    alternative: Model | None = None,
    n_init: int = 20,
    n_init_boot: int | None = None,
    sample_weight: Any = None,
    lengths: Any = None,
    **options: Unpack[FitOptions],
) -> LRTest:
    """Test a model against the same with one component, or state, more.

    alternative: another model with more parts, in place of that.
    n_init: starts of both fits of x. n_init_boot: fresh starts of the fits of each simulated data
        set, beside one from the fit of x; None is n_init. With many fewer the larger model is
        fitted less well to them than to x, and the p-value comes out too small.
    sample_weight, lengths: those of `fit`; the other options too, the same for all fits.

    Errors: ValueError for bad input.
    """
    if not isinstance(model, Model):
        raise ValueError(f"model is {model!r}; give one, such as jaxem.Mixture(family, k)")
    other = model.with_n_components(model.n_components + 1) if alternative is None else alternative
    tests = lr_tests(
        [model, other], x, key=key, n_boot=n_boot, n_init=n_init, n_init_boot=n_init_boot,
        sample_weight=sample_weight, lengths=lengths, **options,
    )  # fmt: skip
    return next(tests)


def lr_tests(
    models: Sequence[Model],
    x: Any,
    *,
    key: Any,
    n_boot: int = 199,
    n_init: int = 20,
    n_init_boot: int | None = None,
    sample_weight: Any = None,
    lengths: Any = None,
    **options: Unpack[FitOptions],
) -> Iterator[LRTest]:
    """Test every model against the next, one test after another as they are asked for.

    models: with growing numbers of parts. Models that differ in that alone share one compilation.
    The options are those of `lr_test`.
    """
    n_boot = checks.whole(n_boot, "n_boot", least=1)
    n_init = checks.whole(n_init, "n_init", least=1)
    n_init_boot = n_init if n_init_boot is None else n_init_boot
    n_init_boot = checks.whole(n_init_boot, "n_init_boot", least=0)
    checks.key(key)
    for model, other in itertools.pairwise(models):
        if not isinstance(other, Model) or other.n_components <= model.n_components:
            raise ValueError(f"{other!r} is no alternative to {model!r}: give one with more parts")
    data = read(models[0], x, sample_weight, None, lengths)
    data = resampling.individuals(data)
    alike = all(
        model.nested_in_k and model.with_n_components(1) == models[0].with_n_components(1)
        for model in models
    )
    keys = jax.random.split(key, (len(models), 2))
    room = models[-1].n_components if alike else None
    jobs = [
        prepare(as_dataset(model, data), Options(**options), Starts("portfolio", own, n_init), room)
        for model, own in zip(models, keys[:, 0], strict=True)
    ]
    return _in_sequence(jobs, keys[:, 1], n_boot, n_init_boot)


def _in_sequence(
    jobs: Sequence[FitPlan], keys: Array, n_boot: int, n_init: int
) -> Iterator[LRTest]:
    null = _fitted(jobs[0])
    for job, key in zip(jobs[1:], keys[1:], strict=True):
        other = _fitted(job)
        yield compared(null, other, key=key, n_boot=n_boot, n_init=n_init)
        null = other


class Fit(NamedTuple):
    """A fit of x, and its plan."""

    job: FitPlan
    result: Result


def _fitted(job: FitPlan) -> Fit:
    return Fit(job, uncut(job))


def compared(null: Fit, other: Fit, *, key: Array, n_boot: int, n_init: int) -> LRTest:
    """The test between two fits of the same rows."""
    key_data, key_null, key_other = jax.random.split(key, 3)
    sets_keys = split(key_data, n_boot)
    params, rows = padded(null.job.model, null.result), null.job.rows

    def make(index: np.ndarray) -> Rows:
        return resampling.simulated(null.job.model, params, rows, sets_keys[index])

    log_likelihoods = [
        _replicated(fit, split(own, n_boot), n_init, make)
        for fit, own in ((null, key_null), (other, key_other))
    ]
    replicates = _statistic(*log_likelihoods)
    statistic = _statistic(null.result.log_likelihood, other.result.log_likelihood)
    return LRTest(null.result, other.result, float(statistic), replicates)


def _replicated(fit: Fit, keys: Keys, n_init: int, make: refits.Make) -> np.ndarray:
    """The log-likelihoods of a model's fits of simulated data; NaN where there is none."""

    def keep(found: refits.Fits) -> tuple[Array, Array]:
        return found.best.log_likelihood, found.best.status

    warm = jax.tree.map(lambda leaf: leaf[None], padded(fit.job.model, fit.result))
    begin = refits.Begin(
        keys, warm, starts.methods("portfolio", n_init, fit.job.rows.first is not None)
    )
    value, status = refits.run(fit.job, refits.Sets(make), begin, keep)
    regular = ~np.isin(status, (Status.DEGENERATE, Status.NONFINITE, Status.DECREASED))
    return np.where(regular, value, np.nan)


def _statistic(null: Any, other: Any) -> Any:
    """At least 0: the larger model contains the smaller, whatever maximum its starts found."""
    return np.maximum(2 * (np.asarray(other) - np.asarray(null)), 0)
