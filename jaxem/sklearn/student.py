"""`StudentMixture`: clusters with heavy tails, by scikit-learn's names."""

from numbers import Real
from typing import Any, ClassVar

import jax
import numpy as np
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval, StrOptions

from jaxem.analysis.outliers import outlier_weights
from jaxem.families import StudentT, StudentTParams
from jaxem.families.student_t.degrees_of_freedom import LEAST, MOST
from jaxem.models.mixture import Mixture, MixtureParams
from jaxem.sklearn.fitted import FittedMixture, as_rows
from jaxem.sklearn.searched import CONSTRAINTS, OF_COVARIANCES, searched


class StudentMixture(FittedMixture):
    """A mixture of t distributions fitted by EM: a Gaussian mixture that outliers do not pull.

    p(x) = sum_k weights_[k] t(x; means_[k], scales_[k], degrees_of_freedom_[k])

    Parameters
    ----------
    n_components : int, default=1
        Components.
    covariance_type : str, default="full"
        Of the scale matrices, as `jaxem.families.Gaussian` takes it.
    degrees_of_freedom : None, "shared" or a number, default=None
        None: one is estimated for each component; "shared": one for all; a number, from 0.01.
    reg_covar : float, default=1e-6
        Added to the diagonals of the scale matrices, within the objective.
    n_init, tol, max_iter, random_state :
        As `jaxem.fit` takes them: "auto" makes starts until few better optima are to be expected.

    Attributes
    ----------
    weights_ (k,), means_ (k, d), scales_, degrees_of_freedom_ (k,) :
        Scale matrices in the shapes of scikit-learn's covariances; the covariance of a component
        is scale nu / (nu - 2), and there is none up to nu = 2.
    model_, params_ : the jaxem model, and its parameters.
    n_iter_, converged_, log_likelihood_ : of the fit.
    n_features_in_, feature_names_in_ : as in scikit-learn.

    Source: Peel and McLachlan (2000), Statistics and Computing 10, 339-348.
    """

    _parameter_constraints: ClassVar[dict] = {
        **CONSTRAINTS,
        **OF_COVARIANCES,
        "degrees_of_freedom": [
            Interval(Real, LEAST, MOST, closed="both"),
            StrOptions({"shared"}),
            None,
        ],
    }

    def __init__(
        self,
        n_components: Any = 1,
        *,
        covariance_type: Any = "full",
        degrees_of_freedom: Any = None,
        reg_covar: Any = 1e-6,
        n_init: Any = "auto",
        tol: Any = 1e-6,
        max_iter: Any = 1000,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.degrees_of_freedom = degrees_of_freedom
        self.reg_covar = reg_covar
        self.n_init = n_init
        self.tol = tol
        self.max_iter = max_iter
        self.random_state = random_state

    @property
    def model_(self) -> Mixture:
        """The jaxem model, for `jaxem.log_prob(model_, params_, x)` and the other verbs."""
        return Mixture(StudentT(self.covariance_type, self.degrees_of_freedom), len(self.weights_))

    @property
    def params_(self) -> MixtureParams:
        """The jaxem parameters, of NumPy arrays."""
        own: tuple[Any, ...] = self.means_, self.scales_, self.degrees_of_freedom_
        weights: Any = self.weights_
        return MixtureParams(weights, StudentTParams(*own))

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "StudentMixture":
        """X: (n, d); y is ignored; sample_weight: (n,) frequencies.

        Errors: ValueError for bad input.
        """
        X = as_rows(self, X, ensure_min_samples=2)
        model = Mixture(StudentT(self.covariance_type, self.degrees_of_freedom), self.n_components)
        options = {"sample_weight": sample_weight, "reg_covar": self.reg_covar}
        with jax.enable_x64(X.dtype == np.float64):
            found = searched(self, model, X, **options).params
        self.weights_ = np.array(found.weights)
        self.means_, self.scales_, self.degrees_of_freedom_ = map(np.array, found.components)
        return self

    def outlier_weights(self, X: Any) -> np.ndarray:
        """What each row counts for in the fit, (n,): about 1 for most, near 0 for outliers.

        u[n] = sum_k P(k | x[n]) (nu[k] + d) / (nu[k] + delta[k, n]), with delta the squared
        Mahalanobis distances.
        """
        return self._of_rows(outlier_weights, X)
