"""The prior of Gaussian components: what a person gives, and the arrays it becomes."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxem.core import checks
from jaxem.families.gaussian import eigenvalue_bound
from jaxem.families.gaussian.covariance import Covariance


class GaussianPrior(NamedTuple):
    """Normal-inverse-Wishart prior on each component, its mode found by MAP estimation.

    m | C ~ N(mean, C / mean_precision),  C ~ inverse-Wishart(degrees_of_freedom, scale).
    For diag each variance, and for spherical the one variance, is inverse-gamma(dof / 2,
    scale / 2); for tied the k means share the one covariance. The density is
    det(C)^-(dof + d + 1)/2 exp(-tr(scale inv(C)) / 2), and for diag and spherical
    v^-(dof + 2)/2 exp(-scale / 2v), times that of the mean. (Fraley and Raftery 2007, section 3.)
    Covariances that are linked have the density of full or diag, within their structure.

    A part left out is flat. Numbers broadcast over the components.

    mean: (d,) or (k, d); mean_precision: how many rows the prior mean is worth.
    degrees_of_freedom: scalar or (k,) (tied: scalar).
    scale: the shape of one component's covariance, or with k in front: full and tied (d, d) or a
        scalar times the identity, diag (d,), spherical (). EII and EEI have one, as tied has.
    reg_covar: variance added to every covariance, by exact ascent: the log density of component k
        is lowered by reg_covar / 2 tr(inv(C[k])), so that the M-step adds reg_covar to the diagonal
        and the objective never falls. scikit-learn adds it after the M-step, which is not ascent;
        the results differ to first order in reg_covar.
    max_eigenvalue_ratio: a bound on the largest eigenvalue of all covariances over the smallest
        (Hathaway 1985): nothing is added where it holds, and no component collapses. Eigenvalues
        are in the units of the columns, which should be alike. Up to 1000 a small component counts
        as regular, as with a prior on the covariances. None: no bound. Not for structures that link
        the components.
    """

    mean: Any = None
    mean_precision: Any = 0.0
    degrees_of_freedom: Any = None
    scale: Any = None
    reg_covar: Any = 0.0
    max_eigenvalue_ratio: Any = None


def read(prior: Any, reg_covar: Any, structure: Covariance, x: Any, k: int) -> GaussianPrior:
    """A prior of plain numbers -> arrays with an entry for each component; ValueError if improper.

    `reg_covar`, where not None, takes the place of the prior's own.
    """
    d, dtype = x.shape[1], x.dtype
    prior = GaussianPrior() if prior is None else prior
    checks.fields(prior, GaussianPrior, "the prior's components")
    if reg_covar is not None:
        prior = prior._replace(reg_covar=reg_covar)
    for name, value in zip(prior._fields, prior, strict=True):
        checks.numbers(value, f"the prior's {name}")
    ratio = prior.max_eigenvalue_ratio
    if ratio is not None:
        eigenvalue_bound.check(structure, ratio)
    given_dof, given_scale = prior.degrees_of_freedom is not None, prior.scale is not None
    if given_dof != given_scale:
        raise ValueError(
            "a prior on the covariances needs both degrees_of_freedom and scale; "
            f"{'scale' if given_dof else 'degrees_of_freedom'} is missing"
        )
    checks.nonnegative(prior.reg_covar, "reg_covar")
    checks.positive_array(prior.mean_precision, "mean_precision", zero_allowed=True)
    precise = not checks.is_concrete(prior.mean_precision) or np.any(
        np.asarray(prior.mean_precision) > 0
    )
    if (prior.mean is not None) != precise:
        raise ValueError(
            "a prior on the means needs both mean, (d,), and a positive mean_precision; "
            f"{'mean' if precise else 'mean_precision'} is missing"
        )
    flat = structure.flat_degrees_of_freedom(d)
    one = jax.eval_shape(structure.per_covariance, jax.ShapeDtypeStruct((k,), dtype)).shape
    shape = structure.shape(k, d)

    def spread(value: Any, shape: tuple[int, ...], name: str) -> Array:
        return checks.broadcast(value, shape, dtype, f"the prior's {name}")

    dof = flat if not given_dof else prior.degrees_of_freedom
    scale = 0.0 if not given_scale else prior.scale
    xp: Any = np if checks.is_concrete(dof, scale) else jnp  # where nothing compiles
    if np.ndim(dof) == 1 and one:
        dof = xp.reshape(xp.asarray(dof, dtype), (-1, *one[1:]))
    if np.ndim(scale) == 0 and structure.matrices:
        scale = xp.asarray(scale, dtype) * xp.eye(d, dtype=dtype)
    elif structure.matrices and np.shape(scale)[-2:] != (d, d):
        raise ValueError(
            f"the prior's scale has shape {np.shape(scale)}; give ({d}, {d}) or a number "
            "that multiplies the identity"
        )
    if given_scale:
        _check_proper(structure, dof, scale, d)
    return GaussianPrior(
        mean=spread(0.0 if prior.mean is None else prior.mean, (k, d), "mean"),
        mean_precision=spread(prior.mean_precision, (k,), "mean_precision"),
        degrees_of_freedom=spread(dof, one, "degrees_of_freedom"),
        scale=spread(scale, shape, "scale"),
        reg_covar=spread(prior.reg_covar, (), "reg_covar"),
        max_eigenvalue_ratio=None if ratio is None else checks.cast(ratio, dtype),
    )


def _check_proper(structure: Covariance, dof: Any, scale: Any, d: int) -> None:
    """ValueError unless the prior on the covariances is one that can be normalised."""
    least = d - 1.0 if structure.matrices else 0.0
    if checks.is_concrete(dof) and not np.all(np.asarray(dof) > least):
        raise ValueError(f"the prior's degrees_of_freedom is {dof}; it must be above {least:g}")
    if not structure.matrices:
        checks.positive_array(scale, "the prior's scale")
    elif checks.is_concrete(scale):
        checks.symmetric(scale, "the prior's scale")
        if not np.all(np.linalg.eigvalsh(np.asarray(scale)) > 0):
            raise ValueError("the prior's scale is not positive definite")


def exponent(prior: GaussianPrior, structure: Covariance, d: int) -> Array:
    """Minus twice the power of det C, or of a variance, in the prior's density; 0 where flat."""
    return prior.degrees_of_freedom - structure.flat_degrees_of_freedom(d)


def flat(structure: Covariance, means: Array, covariances: Array) -> GaussianPrior:
    """The prior that changes nothing."""
    k, d = means.shape
    zeros = jnp.zeros(k, means.dtype)
    dof = structure.flat_degrees_of_freedom(d)
    return GaussianPrior(
        mean=jnp.zeros_like(means),
        mean_precision=zeros,
        degrees_of_freedom=jnp.full_like(structure.per_covariance(zeros), dof),
        scale=jnp.zeros_like(covariances),
        reg_covar=jnp.zeros((), zeros.dtype),
    )


def of_start(
    structure: Covariance, pooled: Any, counts: Float[Array, " k"], prior: GaussianPrior | None
) -> GaussianPrior:
    """As `starting_prior` of the family."""
    d = pooled.means.shape[1]
    own = flat(structure, *pooled) if prior is None else prior
    pseudo, entries = d + 1.0, structure.entries(d)
    n_active = structure.per_covariance((counts > 0).astype(pooled.means.dtype))
    # Groups far apart correlate all columns, beyond what is regular in float32.
    apart = (structure.identity(d, pooled.means.dtype) > 0) | (not structure.matrices)
    less = 1 - jnp.finfo(pooled.means.dtype).eps ** 0.5
    scatter = jnp.where(apart, pooled.covariances, less * pooled.covariances)
    return own._replace(
        mean_precision=jnp.zeros_like(own.mean_precision),
        degrees_of_freedom=own.degrees_of_freedom + entries * (pseudo - n_active),
        scale=own.scale + pseudo * entries * scatter,
    )


def log_density(
    structure: Covariance, params: Any, prior: GaussianPrior, active: Bool[Array, " k"]
) -> Float[Array, ""]:
    """Up to its normalising constant."""
    k, d = params.means.shape
    factor = structure.factor(params.covariances, k, d)
    precision = jnp.where(active, prior.mean_precision, jnp.zeros_like(prior.mean_precision))
    has_mean = structure.per_covariance((precision > 0).astype(precision.dtype))
    power = exponent(prior, structure, d) + structure.entries(d) * has_mean
    spread = power * structure.log_scale(params.covariances, factor)
    spread = spread + structure.trace(factor.root, prior.scale)
    spread = structure.select(active, spread, jnp.zeros_like(spread))
    residual = (params.means - prior.mean)[:, :, None]
    distance = structure.squared_distance(factor.root, residual)[:, 0]
    distance = jnp.where(precision > 0, precision * distance, jnp.zeros_like(distance))
    return -0.5 * (jnp.sum(spread) + jnp.sum(distance))
