"""What estimators that are fitted by a search share: how the fit is asked for, and how it ended."""

import warnings
from numbers import Integral, Real
from typing import Any

import jax
import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from jaxem.core.contracts import Model
from jaxem.families.gaussian.structures import STRUCTURES
from jaxem.fitting.fit import fit
from jaxem.fitting.result import Result

_FROM_1 = Interval(Integral, 1, None, closed="left")
CONSTRAINTS = {
    "n_components": [_FROM_1],
    "n_init": [_FROM_1, StrOptions({"auto"})],
    "tol": [Interval(Real, 0.0, None, closed="left")],
    "max_iter": [_FROM_1],
    "random_state": ["random_state"],
}  # of the parameters of all of them
OF_COVARIANCES = {
    "covariance_type": [StrOptions(set(STRUCTURES))],
    "reg_covar": [Interval(Real, 0.0, None, closed="left")],
}


def seed(estimator: Any) -> int:
    """Drawn from its random_state."""
    return int(check_random_state(estimator.random_state).randint(np.iinfo(np.int32).max))


def searched(estimator: Any, model: Model, x: Any, **options: Any) -> Result:
    """`jaxem.fit` with the estimator's n_init, tol and max_iter, its arrays NumPy's.

    Sets n_iter_, converged_ and log_likelihood_, and warns of an end that is no convergence.
    """
    result = jax.device_get(
        fit(model, x, key=jax.random.key(seed(estimator)), n_init=estimator.n_init,
            tol=estimator.tol, max_iter=estimator.max_iter, **options)
    )  # fmt: skip
    ended(estimator, result)
    return result


def ended(estimator: Any, result: Result) -> None:
    """How a fit ended, as attributes, and as a warning where it did not converge."""
    estimator.n_iter_ = max(1, int(result.n_iter))
    estimator.converged_ = bool(result.converged)
    estimator.log_likelihood_ = float(result.log_likelihood)
    if not estimator.converged_:
        text = f"the fit did not converge: {result.explanation()}"
        warnings.warn(text, ConvergenceWarning, stacklevel=4)
