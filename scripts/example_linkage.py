"""A model of its own: genetic linkage, the first example of Dempster, Laird and Rubin (1977).

197 animals fall into four cells with the probabilities (2 + t, 1 - t, 1 - t, t) / 4. The first is
two cells, of 1/2 and t/4, that cannot be told apart: how many animals are in the second is hidden.

    E-step    z = y[1] t / (2 + t)                           expected in the cell of t/4
    M-step    t = (z + y[4]) / (z + y[2] + y[3] + y[4])

Prints the iterates beside those of their table 1, and the rate at which errors shrink: the share
of the information that is missing. A second experiment hides more of it.

Run it: python scripts/example_linkage.py
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln, xlogy

import jaxem
from jaxem.core import checks
from jaxem.core.constraints import Probability
from jaxem.core.contracts import Model

COUNTS = [(125, 18, 20, 34)]  # Rao (1965), Linear Statistical Inference and Its Applications
SLOW = [(1997, 906, 904, 32)]  # Fisher's; Thisted (1988), Elements of Statistical Computing
PUBLISHED = (
    0.500000000, 0.608247423, 0.624321051, 0.626488879, 0.626777323, 0.626815632, 0.626820719,
    0.626821395, 0.626821484,
)  # fmt: skip


class Theta(NamedTuple):
    theta: jax.Array


class Sums(NamedTuple):
    total_weight: jax.Array
    counts: jax.Array  # (1,)
    linked: jax.Array  # animals expected in the cells of t/4
    unlinked: jax.Array  # animals in the cells of (1 - t)/4


@dataclass(frozen=True)
class Linkage(Model):
    """Rows of four counts, one experiment each."""

    constraints = Theta(Probability(shared=True))

    def check(self, x, weight, names):
        checks.finite(x, weight, names)
        if x.shape[1] != 4:
            raise ValueError(f"x has {x.shape[1]} columns; give the counts of the four cells")
        checks.require_cells(
            x, weight, names, lambda y: y < 0, "negative counts", "counts are from 0"
        )

    def total_weight(self, rows):
        return jnp.sum(rows.weight[:, None] * rows.x)

    def start(self, key, rows, shared, method, n_active, prior):
        return Theta(jax.random.uniform(key, (), rows.x.dtype))

    def e_step(self, params, rows):
        t, w = params.theta, rows.weight
        y1, y2, y3, y4 = rows.x.T
        hidden = y1 * t / (2 + t)
        p = jnp.stack([2 + t, 1 - t, 1 - t, t]) / 4
        ways = gammaln(jnp.sum(rows.x, axis=1) + 1) - jnp.sum(gammaln(rows.x + 1), axis=1)
        log_density = ways + jnp.sum(xlogy(rows.x, p[None]), axis=1)
        sums = Sums(
            self.total_weight(rows),
            jnp.sum(w)[None],
            jnp.sum(w * (hidden + y4)),
            jnp.sum(w * (y2 + y3)),
        )
        return sums, jnp.sum(w * log_density)

    def m_step(self, params, sums, prior):
        return Theta(sums.linked / (sums.linked + sums.unlinked))


MODEL, TOL = Linkage(), 1e-12
Counts = list[tuple[int, ...]]


class Study(NamedTuple):
    """The optimum, how fast EM gets there, and what it says of the parameter."""

    result: jaxem.Result
    rate: float  # of convergence
    complete: float  # information, had nothing been hidden
    observed: float
    plain: int  # steps
    squarem: int


def em_map(theta: jax.Array, counts: Counts) -> jax.Array:
    """One step of EM."""
    params = Theta(theta)
    sums, _ = jaxem.e_step(MODEL, params, counts)
    return jaxem.m_step(MODEL, params, sums).theta


def information(theta: jax.Array, counts: Counts) -> tuple[float, float]:
    """-> (of the complete data, of what was observed): second derivatives of -log likelihood."""
    sums, _ = jaxem.e_step(MODEL, Theta(theta), counts)
    complete = sums.linked / theta**2 + sums.unlinked / (1 - theta) ** 2
    observed = jax.hessian(lambda t: -jaxem.log_likelihood(MODEL, Theta(t), counts))(theta)
    return float(complete), float(observed)


def compare(best: float) -> list[float]:
    """The iterates beside those of the paper; errors shrink by a ratio that becomes constant."""
    trace = jaxem.em_trace(MODEL, Theta(PUBLISHED[0]), COUNTS, len(PUBLISHED) - 1)
    ours = [float(theta) for theta in trace.params.theta]
    print("iteration  published    ours         error        ratio of errors")
    for i, (published, theta) in enumerate(zip(PUBLISHED, ours, strict=True)):
        ratio = f"{(ours[i + 1] - best) / (theta - best):.4f}" if i + 1 < len(ours) else ""
        print(f"{i:9d}  {published:.9f}  {theta:.9f}  {best - theta:.9f}  {ratio}")
    return ours


def study(counts: Counts) -> Study:
    """The optimum from many starts, how fast EM and SQUAREM get there, and why."""
    result = jaxem.fit(MODEL, counts, key=jax.random.key(0), n_init=20, tol=0)
    theta = result.params.theta
    rate = float(jax.grad(em_map)(theta, counts))
    complete, observed = information(theta, counts)
    start = Theta(PUBLISHED[0])
    plain, squarem = (
        int(jaxem.em(MODEL, start, counts, tol=TOL, acceleration=how).n_iter)
        for how in (None, "squarem")
    )
    return Study(result, rate, complete, observed, plain, squarem)


def report(counts: Counts, of: Study) -> None:
    theta, n_best = of.result.params.theta, of.result.restarts.n_best
    missing = of.complete - of.observed
    print(
        f"\n{counts[0]}: theta {theta:.10f}, standard error {of.observed**-0.5:.4f}, "
        f"found by {n_best} of 20 starts\n"
        f"  rate of convergence, the derivative of EM's map   {of.rate:.10f}\n"
        f"  share of the information that is missing          {missing / of.complete:.10f}  "
        f"({missing:.1f} of {of.complete:.1f})\n"
        f"  steps until {TOL} is left to gain: plain EM {of.plain}, SQUAREM {of.squarem}"
    )


def main() -> tuple[list[float], list[Study]]:
    jax.config.update("jax_enable_x64", True)
    studies = [study(COUNTS), study(SLOW)]
    iterates = compare(float(studies[0].result.params.theta))
    for counts, found in zip((COUNTS, SLOW), studies, strict=True):
        report(counts, found)
    return iterates, studies


if __name__ == "__main__":
    main()
