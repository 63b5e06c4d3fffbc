"""`MixtureClassifier`: discriminant analysis by Gaussian mixtures."""

from typing import Any, ClassVar

import jax
import numpy as np
from scipy.special import logsumexp
from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context
from sklearn.utils import validation
from sklearn.utils.multiclass import check_classification_targets

from jaxem.analysis.predict import log_prob
from jaxem.core import checks, parameters
from jaxem.families import Gaussian
from jaxem.fitting.fit import fit
from jaxem.models.mixture import Mixture, MixtureParams
from jaxem.sklearn.fitted import as_rows
from jaxem.sklearn.searched import CONSTRAINTS, OF_COVARIANCES, ended, searched, seed


class MixtureClassifier(ClassifierMixin, BaseEstimator):
    """Discriminant analysis: each class is a Gaussian, or a mixture of some.

    P(class c | x) = pi[c] p_c(x) / sum_b pi[b] p_b(x)

    With one component a class, the classes share what `covariance_type` says: "EEE" (or "tied") is
    linear discriminant analysis, "VVV" (or "full") quadratic, "EEI" (or "tied-diag") naive; the
    others of mclust's fourteen lie between (eigenvalue decomposition discriminant analysis, EDDA).
    With several each class is a mixture of its own (MclustDA).

    Parameters
    ----------
    n_components : int, default=1
        Components a class.
    covariance_type : str, default="full"
        As `jaxem.families.Gaussian` takes it; to choose it, look at `bic`, or at scores in
        `GridSearchCV`.
    priors : (n_classes,) or None
        Of the classes, in the order of `classes_`; None: their shares of the rows.
    reg_covar : float, default=1e-6
        Variance added to covariances, within the objective.
    n_init, tol, max_iter, random_state :
        As `jaxem.fit` takes them; with one component a class there is one start and nothing drawn.

    Attributes
    ----------
    classes_ (n_classes,), priors_ (n_classes,) :
        The classes, sorted, and their probabilities.
    models_, params_ : lists of the jaxem model of each class, and of its parameters.
    n_parameters_ : free parameters of all classes, without `priors_`.
    n_iter_, converged_, log_likelihood_ : of the fit; log_likelihood_ is of rows and classes.
    n_features_in_, feature_names_in_ : as in scikit-learn.

    Sources: Bensmail and Celeux (1996), J. Am. Stat. Assoc. 91, 1743-1748; Fraley and Raftery
    (2002), J. Am. Stat. Assoc. 97, 611-631, section 4.
    """

    _parameter_constraints: ClassVar[dict] = {
        **CONSTRAINTS,
        **OF_COVARIANCES,
        "priors": ["array-like", None],
    }

    def __init__(
        self,
        n_components: Any = 1,
        *,
        covariance_type: Any = "full",
        priors: Any = None,
        reg_covar: Any = 1e-6,
        n_init: Any = "auto",
        tol: Any = 1e-6,
        max_iter: Any = 1000,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.priors = priors
        self.reg_covar = reg_covar
        self.n_init = n_init
        self.tol = tol
        self.max_iter = max_iter
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "MixtureClassifier":
        """X: (n, d); y: (n,) classes; sample_weight: (n,) frequencies.

        Errors: ValueError for bad input, and for priors that are no probabilities.
        """
        X, y = as_rows(self, X, y=y)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        weight = validation._check_sample_weight(sample_weight, X)
        self.priors_ = self._read_priors(np.bincount(labels, weight))
        with jax.enable_x64(X.dtype == np.float64):
            of = self._linked if self.n_components == 1 else self._apart
            of(X, labels, weight)
        return self

    def _read_priors(self, counts: np.ndarray) -> np.ndarray:
        if self.priors is None:
            return counts / counts.sum()
        priors = np.asarray(self.priors, float)
        if priors.shape != counts.shape:
            raise ValueError(f"priors has shape {priors.shape}; there are {len(counts)} classes")
        checks.probabilities(priors, "priors")
        return priors

    def _linked(self, X: np.ndarray, labels: np.ndarray, weight: np.ndarray) -> None:
        """One Gaussian a class, linked as the structure says: one M-step from known labels."""
        family, k = Gaussian(self.covariance_type), len(self.classes_)
        result = jax.device_get(
            fit(Mixture(family, k), X, key=jax.random.key(seed(self)), n_init=1, labels=labels,
                sample_weight=weight, reg_covar=self.reg_covar, tol=self.tol,
                max_iter=self.max_iter)
        )  # fmt: skip
        ended(self, result)
        one: Any = np.ones(1, X.dtype)
        each = (
            parameters.take(family.constraints, result.params.components, np.array([i]))
            for i in range(k)
        )
        self.n_parameters_ = int(result.n_free_parameters) - (k - 1)
        self.models_ = [Mixture(family, 1)] * k
        self.params_ = [MixtureParams(one, own) for own in each]

    def _apart(self, X: np.ndarray, labels: np.ndarray, weight: np.ndarray) -> None:
        """A mixture a class."""
        model, found = Mixture(Gaussian(self.covariance_type), self.n_components), []
        for i in range(len(self.classes_)):
            own = labels == i
            options = {"sample_weight": weight[own], "reg_covar": self.reg_covar}
            found.append(searched(self, model, X[own], **options))
        self.models_ = [model] * len(found)
        self.params_ = [result.params for result in found]
        self.n_parameters_ = sum(int(result.n_free_parameters) for result in found)
        self.n_iter_ = max(int(result.n_iter) for result in found)
        self.converged_ = bool(all(result.converged for result in found))
        shares = np.log(np.where(self.priors_ > 0, self.priors_, 1))
        counts = np.bincount(labels, weight)
        self.log_likelihood_ = float(sum(r.log_likelihood for r in found) + counts @ shares)

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each row, (n,)."""
        best = np.argmax(self._joint(X), axis=1)
        return self.classes_[best]

    def predict_proba(self, X: Any) -> np.ndarray:
        """P(class | x[n]), (n, n_classes), in the order of `classes_`; rows sum to 1."""
        joint = self._joint(X)
        return np.exp(joint - logsumexp(joint, axis=1, keepdims=True))

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """log P(class | x[n]), (n, n_classes)."""
        joint = self._joint(X)
        return joint - logsumexp(joint, axis=1, keepdims=True)

    def bic(self, X: Any, y: Any) -> float:
        """-2 log-likelihood of rows and classes + p log n; lower is better."""
        joint, labels = self._joint(X), np.searchsorted(self.classes_, y)
        p = len(self.classes_) - 1 + self.n_parameters_
        return float(-2 * joint[np.arange(len(labels)), labels].sum() + p * np.log(len(labels)))

    def _joint(self, X: Any) -> np.ndarray:
        """log pi[c] + log p_c(x[n]), (n, n_classes)."""
        validation.check_is_fitted(self)
        X = as_rows(self, X, reset=False)
        X = X.astype(np.result_type(X, self.params_[0].weights), copy=False)
        with jax.enable_x64(X.dtype == np.float64), np.errstate(divide="ignore"):
            each = [log_prob(*of, X) for of in zip(self.models_, self.params_, strict=True)]
            return np.array(each).T + np.log(self.priors_)
