"""`EMImputer`: missing numbers filled by what a Gaussian mixture expects of them."""

from typing import Any, ClassVar

import jax
import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils import validation

from jaxem.analysis.impute import impute
from jaxem.families import Gaussian
from jaxem.models.mixture import Mixture
from jaxem.sklearn.fitted import as_rows
from jaxem.sklearn.searched import CONSTRAINTS, OF_COVARIANCES, searched, seed


class EMImputer(TransformerMixin, BaseEstimator):
    """Fill missing numbers, NaN, by maximum likelihood from the numbers that are there.

    E[x_h | x_o] = sum_k P(k | x_o) E[x_h | x_o, k]

    under a Gaussian mixture that EM fits to the observed cells; rows with holes are not left out.
    One component is the classical imputation of the multivariate normal distribution.

    Parameters
    ----------
    n_components : int, default=1
        Of the mixture: several where the columns depend on each other differently in groups.
    covariance_type : str, default="full"
        As `jaxem.families.Gaussian` takes it. "diag" takes nothing from other columns but through
        the components.
    sample_posterior : bool, default=False
        Draw each missing cell from its distribution given the others, in place of its mean: for
        multiple imputation, a `random_state` each.
    add_indicator : bool, default=False
        Add a column of 0 and 1 for each column that had holes in `fit`.
    reg_covar : float, default=1e-6
        Variance added to covariances, within the objective.
    n_init, tol, max_iter, random_state :
        As `jaxem.fit` takes them: "auto" makes starts until few better optima are to be expected.

    Attributes
    ----------
    model_, params_ : the jaxem model, and its parameters.
    indicator_features_ (m,) : columns that had holes in `fit`.
    n_iter_, converged_, log_likelihood_ : of the fit; the log-likelihood is of the observed cells.
    n_features_in_, feature_names_in_ : as in scikit-learn.

    Source: Little and Rubin (2002), Statistical Analysis with Missing Data, section 11.2.
    """

    _parameter_constraints: ClassVar[dict] = {
        **CONSTRAINTS,
        **OF_COVARIANCES,
        "sample_posterior": ["boolean"],
        "add_indicator": ["boolean"],
    }

    def __init__(
        self,
        n_components: Any = 1,
        *,
        covariance_type: Any = "full",
        sample_posterior: Any = False,
        add_indicator: Any = False,
        reg_covar: Any = 1e-6,
        n_init: Any = "auto",
        tol: Any = 1e-6,
        max_iter: Any = 1000,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.sample_posterior = sample_posterior
        self.add_indicator = add_indicator
        self.reg_covar = reg_covar
        self.n_init = n_init
        self.tol = tol
        self.max_iter = max_iter
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> "EMImputer":
        """Fit the mixture to the cells that were observed; X: (n, d), NaN where one was not.

        Errors: ValueError for bad input, and for a column of NaN alone.
        """
        X = _rows(self, X)
        self.model_ = Mixture(Gaussian(self.covariance_type, missing=True), self.n_components)
        with jax.enable_x64(X.dtype == np.float64):
            self.params_ = searched(self, self.model_, X, reg_covar=self.reg_covar).params
        self.indicator_features_ = np.flatnonzero(np.isnan(X).any(axis=0))
        return self

    def transform(self, X: Any) -> np.ndarray:
        """X, (n, d), with its holes filled; what was observed comes back bit for bit."""
        validation.check_is_fitted(self)
        X = _rows(self, X, reset=False)
        filled = X.astype(np.result_type(X, self.params_.weights), copy=False)
        holes = np.isnan(filled)
        if holes.any():
            draw = {}
            with jax.enable_x64(filled.dtype == np.float64):
                if self.sample_posterior:
                    draw = {"key": jax.random.key(seed(self)), "n_draws": 1}
                found = np.array(impute(self.model_, self.params_, filled, **draw))
            filled = found[0] if draw else found
        if not self.add_indicator:
            return filled
        return np.hstack([filled, holes[:, self.indicator_features_].astype(filled.dtype)])

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """The names of the columns, and missingindicator_NAME of those that were added."""
        validation.check_is_fitted(self)
        names: Any = validation._check_feature_names_in(self, input_features)
        if not self.add_indicator:
            return names
        added = [f"missingindicator_{names[i]}" for i in self.indicator_features_]
        return np.concatenate([names, np.array(added, dtype=object)])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def _rows(estimator: Any, X: Any, **options: Any) -> np.ndarray:
    return as_rows(estimator, X, ensure_all_finite="allow-nan", **options)
