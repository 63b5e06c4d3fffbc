"""What a change of units does to a model of rows: it changes the units of its parameters, no more.

With u the change, x' = u(x), and theta' the parameters in the new units:

    log p(x'; theta') = log p(x; theta) - log |du/dx|
    EM's step from theta' on x' is that from theta on x, in the new units
    the best fit of x' is as likely as that of x, but for the units
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

import jaxem


class Units(NamedTuple):
    x: Callable[[Any], Any]  # rows in the new units
    params: Callable[[Any], Any]  # those of the components
    log_slope: Callable[[Any], Any]  # log |du/dx| of each row, (n,)


def check_units(model: Any, params: Any, x: Any, units: Units, digits: float) -> None:
    """digits: the relative error allowed; x holds as many as its dtype has in both units."""
    there, moved = units.x(x), params._replace(components=units.params(params.components))
    dtype = jax.tree.leaves(there)[0].dtype
    params, moved = (
        jax.tree.map(lambda leaf: np.asarray(leaf, dtype), of) for of in (params, moved)
    )
    slope = units.log_slope(x)
    old, new = (np.asarray(jaxem.log_prob(model, *of)) for of in ((params, x), (moved, there)))
    np.testing.assert_allclose(new + slope, old, rtol=digits, atol=digits)
    stepped = _step(model, params, x)
    stepped = stepped._replace(components=units.params(stepped.components))
    jax.tree.map(lambda a, b: _near(a, b, digits), _step(model, moved, there), stepped)
    one, other = (
        jaxem.fit(model, of, key=jax.random.key(0), n_init=4, tol=1e-9) for of in (x, there)
    )
    assert one.converged and other.converged, (one.status, other.status)
    likely = float(other.log_likelihood) + float(np.sum(slope))
    np.testing.assert_allclose(likely, one.log_likelihood, rtol=digits, atol=len(slope) * digits)


def _step(model: Any, params: Any, x: Any) -> Any:
    return jax.device_get(jaxem.m_step(model, params, jaxem.e_step(model, params, x)[0]))


def _near(a: Any, b: Any, digits: float) -> None:
    """To that share of what each column of a component, or of all, has largest."""
    most = np.max(np.abs(b), axis=0, keepdims=np.ndim(b) > 0)
    assert np.all(np.abs(a - b) <= digits * most), (a, b)
