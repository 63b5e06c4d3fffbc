"""`HiddenMarkovModel`: sequences with hidden states, by scikit-learn's and hmmlearn's names."""

from typing import Any, ClassVar

import jax
import numpy as np
from sklearn.base import BaseEstimator, DensityMixin, _fit_context
from sklearn.utils import validation

from jaxem.analysis import decode, predict
from jaxem.core.contracts import Family
from jaxem.families import Gaussian
from jaxem.models.hmm import HMM
from jaxem.sklearn.fitted import as_rows
from jaxem.sklearn.searched import CONSTRAINTS, OF_COVARIANCES, searched


class HiddenMarkovModel(DensityMixin, BaseEstimator):
    """A hidden Markov model fitted by EM (Baum and Welch).

    p(x, z) = initial_[z_1] prod_t transition_[z_t, z_t+1] prod_t p(x_t | z_t)

    Sequences come one after another in the rows of X, with `lengths` of how many rows each, as in
    hmmlearn; None: one sequence.

    Parameters
    ----------
    n_components : int, default=1
        Hidden states.
    family : a jaxem family or None
        Of the emissions, such as `jaxem.families.Poisson()`; None: Gaussian of `covariance_type`.
    covariance_type : str, default="full"
        Of Gaussian emissions, as `jaxem.families.Gaussian` takes it.
    reg_covar : float, default=1e-6
        Variance added to covariances of Gaussian emissions, within the objective.
    n_init, tol, max_iter, random_state :
        As `jaxem.fit` takes them: "auto" makes starts until few better optima are to be expected.

    Attributes
    ----------
    initial_ (k,), transition_ (k, k) : the law of the first state, and from row to column.
    model_, params_ : the jaxem model, and its parameters; params_.emissions are the family's.
    n_iter_, converged_, log_likelihood_ : of the fit.
    n_features_in_, feature_names_in_ : as in scikit-learn.

    Source: Rabiner (1989), Proceedings of the IEEE 77, 257-286.
    """

    _parameter_constraints: ClassVar[dict] = {
        **CONSTRAINTS,
        **OF_COVARIANCES,
        "family": [Family, None],
    }

    def __init__(
        self,
        n_components: Any = 1,
        *,
        family: Any = None,
        covariance_type: Any = "full",
        reg_covar: Any = 1e-6,
        n_init: Any = "auto",
        tol: Any = 1e-6,
        max_iter: Any = 1000,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.family = family
        self.covariance_type = covariance_type
        self.reg_covar = reg_covar
        self.n_init = n_init
        self.tol = tol
        self.max_iter = max_iter
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, lengths: Any = None) -> "HiddenMarkovModel":
        """X: (n, d), the steps of all sequences; lengths: (b,), which add up to n; y is ignored.

        Errors: ValueError for bad input.
        """
        X = as_rows(self, X, ensure_min_samples=2)
        family = Gaussian(self.covariance_type) if self.family is None else self.family
        options = {"reg_covar": self.reg_covar} if self.family is None else {}
        self.model_ = HMM(family, self.n_components)
        with jax.enable_x64(X.dtype == np.float64):
            found = searched(self, self.model_, _sequences(X, lengths), **options)
        self.params_ = found.params
        self.initial_, self.transition_ = map(np.array, self.params_[:2])
        return self

    def predict(self, X: Any, lengths: Any = None) -> np.ndarray:
        """The states of the most probable path (Viterbi), (n,)."""
        return self._of(lambda *of: decode.viterbi(*of)[0], X, lengths).astype(np.int64)

    def predict_proba(self, X: Any, lengths: Any = None) -> np.ndarray:
        """P(state of the step | its whole sequence), (n, k)."""
        return self._of(predict.smooth, X, lengths)

    def score(self, X: Any, y: Any = None, lengths: Any = None) -> float:
        """The log-likelihood of all sequences; y is ignored."""
        return float(np.sum(self._of(lambda *of: [predict.log_prob(*of)], X, lengths)))

    def _of(self, verb: Any, X: Any, lengths: Any) -> np.ndarray:
        validation.check_is_fitted(self)
        X = as_rows(self, X, reset=False)
        X = X.astype(np.result_type(X, self.initial_), copy=False)
        with jax.enable_x64(X.dtype == np.float64):
            found = verb(self.model_, self.params_, _sequences(X, lengths))
        return np.concatenate([np.asarray(of) for of in found])


def _sequences(X: np.ndarray, lengths: Any) -> list[np.ndarray]:
    if lengths is None:
        return [X]
    lengths = np.asarray(lengths)
    whole = lengths.ndim == 1 and lengths.dtype.kind in "iu" and (lengths > 0).all()
    if not whole or lengths.sum() != len(X):
        raise ValueError(
            f"lengths is {lengths}; give whole numbers from 1 that add up to the {len(X)} rows of X"
        )
    return np.split(X, np.cumsum(lengths)[:-1])
