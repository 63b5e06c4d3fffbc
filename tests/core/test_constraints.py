"""Every kind of constraint by the same laws; counts are ranks of Jacobians."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxem
from jaxem import families
from jaxem.core import parameters
from jaxem.core.constraints import (
    Angle,
    Between,
    Constraint,
    Covariance,
    Equal,
    Given,
    NonNegative,
    Positive,
    Probability,
    Real,
    Shares,
    Simplex,
    Variance,
)
from jaxem.families.gamma import GammaParams, ShapeAndMean
from jaxem.families.von_mises import Polar, VonMisesParams
from jaxem.models.markov_chain import INITIALS, Transitions

K = 3
ACTIVE = np.ones(K, bool)


def spd(k: int, d: int = 3) -> np.ndarray:
    root = np.random.default_rng(0).normal(size=(k, d, d + 2))
    return np.einsum("kij,klj->kil", root, root)


def rows(k: int, c: int) -> np.ndarray:
    p = np.random.default_rng(1).uniform(0.2, 1, (k, c))
    return p / p.sum(1, keepdims=True)


CASES: dict[str, tuple[Constraint, np.ndarray]] = {
    "real": (Real(), np.arange(6.0).reshape(K, 2) - 2),
    "positive": (Positive(), np.arange(1.0, 7).reshape(K, 2)),
    "positive, shared": (Positive(shared=True), np.array([0.5, 2.0])),
    "not negative": (NonNegative(), np.arange(1.0, 4)),
    "probability": (Probability(), rows(K, 2) / 2),
    "simplex": (Simplex(), rows(K, 4)),
    "one category": (Simplex(), np.ones((K, 1))),
    "simplex, shared": (Simplex(shared=True), rows(1, 4)[0]),
    "shares": (Shares(), rows(1, K)[0]),
    "angle": (Angle(), np.array([[-3.0], [0.5], [3.0]])),
    "covariance": (Covariance(), spd(K)),
    "covariance of one column": (Covariance(), spd(K, 1)),
    "covariance, shared": (Covariance(shared=True), spd(1)[0]),
    "variance": (Variance(), np.arange(1.0, 7).reshape(K, 2)),
    "equal": (Equal(Positive()), np.full(K, 1.5)),
    "between": (Between(0.01, 1e6), np.array([0.5, 2.0, 3e4])),
    "given": (Given(4.0), np.full(K, 4.0)),
    "initial": (INITIALS["free"], rows(1, K)[0]),
    "initial, fixed": (INITIALS["fixed"], rows(1, K)[0]),
    "transitions": (Transitions(), rows(K, K)),
    "left-right": (
        Transitions(kind="left-right"),
        np.array([[0.5, 0.3, 0.2], [0, 0.6, 0.4], [0, 0, 1.0]]),
    ),
}
each = pytest.mark.parametrize("name", CASES)


def rank(function: Any, at: np.ndarray) -> int:
    jacobian = jax.jacobian(lambda u: jnp.ravel(function(u.reshape(at.shape))))(jnp.ravel(at))
    return int(np.linalg.matrix_rank(np.asarray(jacobian), tol=1e-8))


@each
def test_coordinates_lead_back_and_are_of_legal_numbers(name):
    of, value = CASES[name]
    u = of.to_unconstrained(jnp.asarray(value))
    np.testing.assert_allclose(of.from_unconstrained(u), value, rtol=1e-12, atol=1e-15)
    of.check(value, name)
    for dtype in (np.float32, np.float64):
        for scale in (1.0, 30.0, 1e3):
            noise = np.random.default_rng(2).normal(0, scale, u.shape).astype(dtype)
            found = np.asarray(of.from_unconstrained(jnp.asarray(noise)))
            assert found.dtype == dtype and np.isfinite(found).all()
            if scale < 100 and not isinstance(of, Transitions):
                of.check(found, name)


@each
def test_free_numbers_are_the_rank_of_the_coordinates(name):
    of, value = CASES[name]
    u = np.asarray(of.to_unconstrained(jnp.asarray(value)))
    nothing = np.full_like(value, np.nan)
    assert int(of.n_free(jnp.asarray(nothing), jnp.asarray(ACTIVE))) == rank(
        of.from_unconstrained, u
    )


@each
@pytest.mark.parametrize("which", ["first", "last row", "all"])
def test_fixed_numbers_are_there_and_count(name, which):
    """Of matrices and means beside them whole ones, of one common number all."""
    of, value = CASES[name]
    fixed = np.full_like(value, np.nan)
    own = slice(None) if isinstance(of, Equal) else {"first": 0, "last row": -1}.get(which, ...)
    own = (own, *[0] * (value.ndim - 1)) if which == "first" and not _whole(of) else own
    own = ... if _whole(of) and of.shared else own
    fixed[own] = value[own]
    of.check_fixed(fixed, name)
    held = jnp.asarray(fixed)
    u = np.asarray(of.to_unconstrained(jnp.asarray(value)))

    def moved(u):
        return of.fix(of.from_unconstrained(jnp.asarray(u)), held)

    np.testing.assert_allclose(np.asarray(moved(u + 0.1))[own], value[own], rtol=1e-12)
    assert int(of.n_free(held, jnp.asarray(ACTIVE))) == rank(moved, u)
    stays = np.asarray(of.determined(held))
    other = np.random.default_rng(3).normal(size=u.shape)
    difference = np.abs(np.asarray(moved(u + 0.3 * other)) - np.asarray(moved(u)))
    assert (difference[stays] < 1e-12).all()
    if which == "all":
        assert stays.all()


def _whole(of: Constraint) -> bool:
    return isinstance(of, Covariance)


def test_zeros_of_probabilities_and_rates_survive():
    p = jnp.array([[0.0, 0.25, 0.75], [0.5, 0.5, 0.0]])
    for of, value in ((Simplex(), p), (Probability(), p), (NonNegative(), p)):
        back = of.from_unconstrained(of.to_unconstrained(value))
        np.testing.assert_array_equal(np.asarray(back) == 0, np.asarray(value) == 0)
        assert np.asarray(of.ends(value))[np.asarray(value) == 0].all()


def test_ends_of_a_range_are_told():
    of = Between(0.5, 2.0)
    found = of.from_unconstrained(jnp.array([-9.0, 0.0, 9.0]))
    np.testing.assert_array_equal(found, [0.5, 1.0, 2.0])
    np.testing.assert_array_equal(of.ends(found), [True, False, True])


def test_what_is_of_absent_components_is_told():
    active = jnp.array([True, False, True])
    marks = Positive().inactive(jnp.ones((K, 2)), active)
    np.testing.assert_array_equal(marks, [[False] * 2, [True] * 2, [False] * 2])
    assert not Positive(shared=True).inactive(jnp.ones(2), active).any()
    assert int(Simplex().n_free(jnp.full((K, 4), jnp.nan), active)) == 6
    assert int(Shares().n_free(jnp.full(K, jnp.nan), active)) == 1
    np.testing.assert_array_equal(Shares().take(np.array([0.2, 0.8]), np.array([1, -1])), [0.8, 0])
    moves = Transitions().take(rows(2, 2), np.array([1, -1]))
    assert (moves[1] == 0).all() and (moves[:, 1] == 0).all() and moves[0, 0] > 0


WRONG = {
    "must be above 0": (Positive(), [1.0, -1.0]),
    r"must be from 0 to 1": (Probability(), [0.5, 1.5]),
    "add up to 1": (Simplex(), [[0.5, 0.6]]),
    "not symmetric": (Covariance(), [[[1.0, 0.5], [0.2, 1.0]]]),
    "not positive definite": (Covariance(), [[[1.0, 2.0], [2.0, 1.0]]]),
    "at least 0": (Variance(), [[-1.0]]),
    r"from 0\.5 to 2": (Between(0.5, 2.0), [1.0, 2.5]),
    "fixed at 4": (Given(4.0), [4.0, 5.0]),
}


@pytest.mark.parametrize("text", WRONG)
def test_what_lies_elsewhere_is_named(text):
    of, value = WRONG[text]
    with pytest.raises(ValueError, match=f"x.*{text}"):
        of.check(np.array(value), "x")


def test_arrays_are_called_by_their_names():
    params = jaxem.MixtureParams([0.5, 0.5], families.PoissonParams([[-1.0], [2.0]]))
    model = jaxem.Mixture(families.Poisson(), 2)
    with pytest.raises(ValueError, match=r"^rates\[0"):
        jaxem.log_prob(model, params, np.arange(3.0))
    lists = jaxem.MixtureParams([0.5, 0.5], families.MultinomialParams([[0.5, 0.5], [0.2, 0.8]]))
    jaxem.log_prob(jaxem.Mixture(families.Multinomial(), 2), lists, np.ones((3, 2)))
    fixed = jaxem.MixtureParams(None, families.PoissonParams([[-1.0], [np.nan]]))
    with pytest.raises(ValueError, match=r"^fixed\.components\.rates\[0"):
        jaxem.n_free_parameters(model, params._replace(components=families.PoissonParams(
            [[1.0], [2.0]])), fixed=fixed)  # fmt: skip


class Pair(NamedTuple):
    first: Any
    rest: Any


def test_trees_have_prefixes_and_arrays_that_go_together():
    """A constraint stands for all arrays below it; a joint one for what its parts say of each."""
    value = Pair(jnp.ones((2, 3)) / 3, (jnp.ones((2, 2)), jnp.ones((2, 1))))
    tree = Pair(Simplex(), Positive())
    back = parameters.from_unconstrained(tree, parameters.to_unconstrained(tree, value))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), back, value)
    moved = parameters.replace(tree, value, ("rest", 1, 0, 0), jnp.float64(5))
    assert moved.rest[1][0, 0] == 5 and moved.rest[0] is value.rest[0]
    moved = parameters.replace(tree, value, ("first", 0, 1), jnp.float64(0.5))
    np.testing.assert_allclose(moved.first[0], [0.25, 0.5, 0.25])
    for of, parts in (
        (ShapeAndMean(GammaParams(Positive(), Positive())), GammaParams),
        (Polar(VonMisesParams(Angle(), NonNegative())), VonMisesParams),
    ):
        pair = parts(jnp.array([[0.5], [2.0]]), jnp.array([[3.0], [0.1]]))
        back = parameters.from_unconstrained(of, parameters.to_unconstrained(of, pair))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), back, pair)
        assert int(parameters.n_free(of, pair, jnp.ones(2, bool), None)) == 4


def test_angles_are_unwrapped_towards_a_reference():
    near = Angle().unwrap(np.array([[6.2], [-3.1]]), np.array([[0.0], [3.1]]))
    np.testing.assert_allclose(near, [[6.2 - 2 * np.pi], [2 * np.pi - 3.1]])


def test_fixed_rows_of_a_chain_that_goes_on_are_counted_once():
    """Of a left-right chain the last state has no freedom; a row that is fixed has none either."""
    chain = jaxem.HMM(families.Poisson(), 3, transitions="left-right")
    params = jaxem.HMMParams(
        np.array([1.0, 0, 0]), CASES["left-right"][1], families.PoissonParams(np.ones((3, 1)))
    )
    assert int(jaxem.n_free_parameters(chain, params)) == 2 + 3 + 3
    row = np.full((3, 3), np.nan)
    row[1] = [0, 0.6, 0.4]
    fixed = jaxem.HMMParams(None, row, None)
    assert int(jaxem.n_free_parameters(chain, params, fixed=fixed)) == 2 + 2 + 3
