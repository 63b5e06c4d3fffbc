"""Information matrices of the parameters, in free coordinates u.

    l(u) = log p(x; theta(u)) + log prior

    observed     I = - l''(0)
    complete     C = - d^2 Q(u | v) / du^2,    Q(u | v) = E[log p(x, z; u) | x; v] + log prior
    missing      M = Cov[d/du log p(x, z; u) | x] = d^2 Q(u | v) / du dv,  so that I = C - M
                                                         (Louis 1982; in this form Oakes 1999)
    outer        O = sum_n weight[n] s[n] s[n]',  s[n] = d/du log p(x[n]; theta(u))

all by automatic differentiation, block by block of rows.
"""

from collections.abc import Callable
from functools import partial, wraps
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int, PyTree

from jaxem.analysis.coordinates import LOST, point
from jaxem.core import checks, emissions
from jaxem.core.capabilities import latent
from jaxem.core.contracts import Model, Params, Prepared, Prior, Rows
from jaxem.core.numerics import einsum
from jaxem.fitting import sizes
from jaxem.fitting.blocks import sum_blocks
from jaxem.fitting.effort import Program, program
from jaxem.fitting.streamed_sums import StreamedRows, summed

_TANGENTS = 1 << 22  # numbers that directions differentiated together may take


class Local(NamedTuple):
    """A model at a point, with its rows and free coordinates.

    rows: `Rows`, `StreamedRows` or none. share: of the prior that counts with the rows; None: all.
    """

    params: Params
    prior: Prior | None
    basis: Float[Array, "c r"]
    rows: Any
    share: Any = None


class BlockPlan(NamedTuple):
    """Rows a block, directions differentiated together, and whether the stable form is used."""

    block: int
    width: int
    stable_form: bool


def plan(model: Model, local: Local, block: int) -> BlockPlan:
    """A block plan whose tangents take a few megabytes, however many directions there are.

    Careful where the parameters need it, and where they are traced.
    """
    rows, r = some(local), local.basis.shape[1]
    width = sizes.directions(model, rows, block, r, _TANGENTS)
    if not checks.is_concrete(local.params, local.prior):
        return BlockPlan(block, width, True)
    return BlockPlan(block, width, bool(_loses_digits(model, local.params, local.prior)))


@program("model")
def _loses_digits(model: Model, params: Params, prior: Prior | None) -> Array:
    stable_form = emissions.stable_form(model, model.prepare(params, prior))
    return jnp.zeros((), bool) if stable_form is None else stable_form[0]


def _prepared(model: Model, local: Local, u: Array, plan: BlockPlan) -> Prepared:
    params = point(model, local.params, local.prior, local.basis, u)
    prepared = model.prepare(params, local.prior)
    stable_form = emissions.stable_form(model, prepared) if plan.stable_form else None
    return prepared if stable_form is None else stable_form[1]


def _log_likelihood(model: Model, local: Local, plan: BlockPlan, rows: Rows, u: Array) -> Array:
    weight = rows.weight
    terms = latent.log_density(model, _prepared(model, local, u, plan), rows)
    return jnp.sum(jnp.where(weight > 0, weight * terms, 0))


def _log_prior(model: Model, local: Local, u: Array) -> Array:
    params = point(model, local.params, local.prior, local.basis, u)
    return model.log_prior(params, local.prior)


def _along(function: Callable[[Array], PyTree], zero: Array, width: int) -> tuple[PyTree, PyTree]:
    """-> (its value there, its derivative along each direction)."""
    value, forward = jax.linearize(function, zero)
    eye = jnp.diag(jnp.ones_like(zero))
    if width >= zero.shape[0]:
        return value, jax.vmap(forward)(eye)
    return value, lax.map(forward, eye, batch_size=width)


def _of_prior(local: Local, found: PyTree) -> PyTree:
    """What the prior adds to sums over the rows."""
    if local.share is None:
        return found
    return jax.tree.map(lambda leaf: leaf * local.share, found)


def over_rows(function: Program) -> Callable[..., Any]:
    """function(model, local, ...), a sum over rows: of a source that over its parts."""

    @wraps(function)
    def of(model: Model, local: Local, *rest: Any) -> Any:
        if not isinstance(local.rows, StreamedRows):
            return function(model, local, *rest)

        def own(rows: Rows, share: Array) -> Any:
            return function(model, local._replace(rows=rows, share=share), *rest)

        return summed(own, local.rows)

    return of


def some(local: Local) -> Rows:
    """The rows; of a source the first."""
    return local.rows.some if isinstance(local.rows, StreamedRows) else local.rows


def _zero(local: Local) -> Array:
    return jnp.zeros_like(local.basis, shape=local.basis.shape[1:])


def _summed(of_block: Callable[..., PyTree], local: Local, plan: BlockPlan, *at: Array) -> PyTree:
    """The sum of of_block(rows, local, *at) over blocks of rows."""
    return sum_blocks(of_block, local.rows, plan.block, local._replace(rows=None, share=None), *at)


@over_rows
@program("model", "plan")
def observed(
    model: Model, local: Local, at: Array, plan: BlockPlan
) -> tuple[Float[Array, ""], Float[Array, " r"], Float[Array, "r r"]]:
    """-> (l(u), l'(u), I = - l''(u)) at u = `at`."""

    def of_block(rows: Rows, local: Local, at: Array) -> tuple[Array, Array, Array]:
        of = partial(_log_likelihood, model, local, plan, rows)
        (value, slope), (_, hessian) = _along(jax.value_and_grad(of), at, plan.width)
        return value, slope, hessian

    of_rows = _summed(of_block, local, plan, at)
    of_prior = _along(jax.value_and_grad(partial(_log_prior, model, local)), at, plan.width)
    (value, slope), (_, hessian) = _of_prior(local, of_prior)
    value, slope, hessian = jax.tree.map(jnp.add, of_rows, (value, slope, hessian))
    return value, slope, -_symmetric(hessian)


@over_rows
@program("model", "plan")
def gradient(model: Model, local: Local, at: Array, plan: BlockPlan) -> Float[Array, " r"]:
    """l'(u) at u = `at`."""

    def of_block(rows: Rows, local: Local, at: Array) -> Array:
        of = partial(_log_likelihood, model, local, plan, rows)
        return jax.grad(of)(at)

    of_rows = _summed(of_block, local, plan, at)
    return of_rows + _of_prior(local, jax.grad(partial(_log_prior, model, local))(at))


@over_rows
@program("model", "plan")
def complete(model: Model, local: Local, plan: BlockPlan) -> Float[Array, "r r"]:
    """C: the information if the components were observed."""

    def of_block(rows: Rows, local: Local) -> Array:
        then = _prepared(model, local, _zero(local), plan)

        def q(u: Array) -> Array:
            return latent.expected(model, _prepared(model, local, u, plan), then, rows)

        return _along(jax.grad(q), _zero(local), plan.width)[1]

    of_rows = _summed(of_block, local, plan)
    of_prior = _along(jax.grad(partial(_log_prior, model, local)), _zero(local), plan.width)[1]
    return -_symmetric(of_rows + _of_prior(local, of_prior))


@over_rows
@program("model", "plan")
def missing(model: Model, local: Local, plan: BlockPlan) -> Float[Array, "r r"]:
    """M: the information lost because the components are hidden."""

    def of_block(rows: Rows, local: Local) -> Array:
        def score(v: Array) -> Array:
            then = _prepared(model, local, v, plan)

            def q(u: Array) -> Array:
                return latent.expected(model, _prepared(model, local, u, plan), then, rows)

            return jax.grad(q)(_zero(local))

        return _along(score, _zero(local), plan.width)[1]

    return _symmetric(_summed(of_block, local, plan))


@over_rows
@program("model", "plan")
def outer(
    model: Model, local: Local, plan: BlockPlan
) -> tuple[Float[Array, " r"], Float[Array, "r r"]]:
    """-> (the sum of the scores, O), the prior's information added to O."""

    def of_block(rows: Rows, local: Local) -> tuple[Array, Array]:
        def terms(u: Array) -> Array:
            return latent.log_density(model, _prepared(model, local, u, plan), rows)

        _, scores = _along(terms, _zero(local), plan.width)
        if rows.first is None:
            weighted = scores * rows.weight[None]
            return jnp.sum(weighted, 1), einsum("in,jn->ij", weighted, scores)
        return _of_sequences(scores, rows.first, rows.weight)

    of_rows = _summed(of_block, local, plan)
    of_prior = _along(jax.grad(partial(_log_prior, model, local)), _zero(local), plan.width)
    of_prior = _of_prior(local, of_prior)
    return of_rows[0] + of_prior[0], _symmetric(of_rows[1] - of_prior[1])


def _of_sequences(
    scores: Float[Array, "r t n"], begins: Bool[Array, "t n"], weight: Float[Array, "t n"]
) -> tuple[Float[Array, " r"], Float[Array, "r r"]]:
    """The same sums over sequences, whose scores are those of their steps added up."""

    def add(sums: tuple[Array, Array], own: Array, weight: Array) -> tuple[Array, Array]:
        weighted = jnp.where(weight > 0, own * weight, 0)
        return sums[0] + jnp.sum(weighted, 1), sums[1] + einsum("in,jn->ij", weighted, own)

    def step(carry: tuple, now: tuple) -> tuple[tuple, None]:
        own, weight, sums = carry
        score, first, new_weight = now
        ended = jnp.where(first, weight, jnp.zeros_like(weight))
        own_there = jnp.where((ended > 0)[None], own, 0)
        sums = lax.cond(jnp.any(ended > 0), lambda: add(sums, own_there, ended[None]), lambda: sums)
        own = jnp.where(first[None], score, own + score)
        return (own, new_weight, sums), None

    r, _, n = scores.shape
    nothing = jnp.zeros(r, scores.dtype), jnp.zeros((r, r), scores.dtype)
    start = jnp.zeros((r, n), scores.dtype), jnp.zeros(n, weight.dtype), nothing
    steps = jnp.moveaxis(scores, 1, 0), begins, weight
    own, last, sums = lax.scan(step, start, steps)[0]
    return add(sums, jnp.where((last > 0)[None], own, 0), last[None])


def _symmetric(matrix: Float[Array, "r r"]) -> Float[Array, "r r"]:
    return (matrix + matrix.T) / 2


@program("model")
def number(
    model: Model, local: Local, at: Array, index: Int[Array, ""]
) -> tuple[Float[Array, ""], Float[Array, " r"], Float[Array, "r r"]]:
    """-> (one number of theta(u), its gradient and second derivatives) at u = `at`."""

    def of(u: Array) -> Array:
        return ravel_pytree(point(model, local.params, local.prior, local.basis, u))[0][index]

    return of(at), jax.grad(of)(at), jax.hessian(of)(at)


class Inverse(NamedTuple):
    """root (r, m): inv(I) = root root'; null (r, m): directions of which the rows tell nothing.

    least: the smallest share of the complete information that was observed, 0 where even that is
    singular, negative at a saddle. step, distance: to the maximum, in u and in standard errors.
    """

    root: Float[Array, "r m"]
    null: Float[Array, "r m"]
    least: Float[Array, ""]
    step: Float[Array, " r"]
    distance: Float[Array, ""]


@program()
def whitening(complete: Float[Array, "r r"]) -> tuple[Float[Array, "r r"], Float[Array, ""]]:
    """-> (W with W' C W = 1 as far as C has digits, the least eigenvalue of C in units of its
    diagonal).
    """
    diagonal = jnp.diagonal(complete)
    unit = 1 / jnp.sqrt(jnp.where(diagonal > 0, diagonal, jnp.ones_like(diagonal)))
    own, axes = jnp.linalg.eigh(complete * unit[:, None] * unit[None])
    floor = LOST * complete.shape[0] * jnp.finfo(complete.dtype).eps
    return unit[:, None] * axes / jnp.sqrt(jnp.maximum(own, floor))[None], own[0]


@program()
def invert(
    information: Float[Array, "r r"],
    complete: Float[Array, "r r"],
    gradient: Float[Array, " r"],
    basis: Float[Array, "c r"],
) -> Inverse:
    """The inverse of an information matrix, in units of the complete one, which is well scaled.

    Where less than sqrt(eps) of it is left, half of the digits are lost: that counts as nothing.
    The shares do not depend on coordinates and units.
    """
    eps = jnp.finfo(complete.dtype).eps
    there = jnp.any(basis != 0, axis=0)
    spare = jnp.diag(jnp.where(there, 0, 1).astype(complete.dtype))
    own, axes = jnp.linalg.eigh(complete + spare)
    told = own > eps**0.8
    whiten = jnp.where(told[None], axes / jnp.sqrt(jnp.where(told, own, 1))[None], 0)
    shares = einsum("ia,ij,jb->ab", whiten, information + spare, whiten)
    shares = _symmetric(shares) + jnp.diag(jnp.where(told, 0, 1).astype(own.dtype))
    share, turn = jnp.linalg.eigh(shares)
    directions = einsum("ia,ab->ib", whiten, turn)
    good = share > eps**0.5
    root = jnp.where(good[None], directions / jnp.sqrt(jnp.where(good, share, 1))[None], 0)
    root = jnp.where(there[:, None], root, 0)
    null = jnp.where(good[None], 0, directions) + jnp.where(told[None], 0, axes)
    null = jnp.where(there[:, None], null, 0)
    length = jnp.sqrt(jnp.sum(null**2, axis=0))
    scores = einsum("im,i->m", root, gradient)
    finite = jnp.all(jnp.isfinite(information) & jnp.isfinite(complete))
    return Inverse(
        root=root,
        null=null / jnp.where(length > 0, length, 1)[None],
        least=jnp.where(jnp.all(told), jnp.min(share), jnp.minimum(jnp.min(share), 0)),
        step=einsum("im,m->i", root, scores),
        distance=jnp.where(finite, jnp.sqrt(jnp.sum(scores**2)), jnp.nan),
    )
