"""What a fitted mixture says of rows, by scikit-learn's names: scores, components, samples."""

import abc
from typing import Any

import jax
import numpy as np
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils import check_random_state, validation

from jaxem.analysis import predict
from jaxem.core import checks, frames, tables
from jaxem.models.mixture import Mixture, MixtureParams

_LEAST_SAMPLE = 128  # rows drawn at once, from here by doubling: few sizes to compile for


class FittedMixture(DensityMixin, BaseEstimator):
    """Everything after `fit`, from model_, params_ and the dtype of means_ alone.

    Computed in float64, or in float32 where both the rows and the fit are.
    """

    random_state: Any
    means_: np.ndarray

    @property
    @abc.abstractmethod
    def model_(self) -> Mixture:
        """The jaxem model, for `jaxem.log_prob(model_, params_, x)` and the other verbs."""

    @property
    @abc.abstractmethod
    def params_(self) -> MixtureParams:
        """The jaxem parameters, of NumPy arrays."""

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> np.ndarray:
        """Fit, then the most probable component of each row, (n,)."""
        estimator: Any = self
        return estimator.fit(X, y, sample_weight).predict(X)

    def score_samples(self, X: Any) -> np.ndarray:
        """log p(x[n]) of each row, (n,): natural log with every constant."""
        return self._of_rows(predict.log_prob, X)

    def score(self, X: Any, y: Any = None) -> float:
        """The mean of `score_samples`; y is ignored."""
        return float(np.mean(self.score_samples(X)))

    def predict(self, X: Any) -> np.ndarray:
        """The most probable component of each row, (n,)."""
        return self._of_rows(predict.predict, X).astype(np.int64)

    def predict_proba(self, X: Any) -> np.ndarray:
        """P(component | x[n]), (n, k); rows sum to 1."""
        return self._of_rows(predict.predict_proba, X)

    def sample(self, n_samples: Any = 1) -> tuple[np.ndarray, np.ndarray]:
        """-> (n_samples rows drawn from the fit (n, d), their components (n,), in order)."""
        validation.check_is_fitted(self)
        n = checks.whole(n_samples, "n_samples", least=1)
        size = max(_LEAST_SAMPLE, 1 << (n - 1).bit_length())
        with jax.enable_x64(self.means_.dtype == np.float64):
            key = jax.random.key(self._seed())
            X, y = predict.sample(self.model_, self.params_, key, size)
            X, y = np.asarray(X)[:n], np.asarray(y)[:n].astype(np.int64)
        order = np.argsort(y, kind="stable")
        return X[order], y[order]

    def aic(self, X: Any) -> float:
        """-2 log-likelihood + 2 p, of the rows of X; lower is better."""
        return float(-2 * np.sum(self.score_samples(X)) + 2 * self._n_parameters())

    def bic(self, X: Any) -> float:
        """-2 log-likelihood + p log n, of the rows of X; lower is better."""
        log_density = self.score_samples(X)
        return float(-2 * np.sum(log_density) + self._n_parameters() * np.log(len(log_density)))

    def _of_rows(self, verb: Any, X: Any) -> np.ndarray:
        validation.check_is_fitted(self)
        X = as_rows(self, X, reset=False)
        X = X.astype(np.result_type(X, self.means_), copy=False)
        with jax.enable_x64(X.dtype == np.float64):
            return np.array(verb(self.model_, self.params_, X))

    def _n_parameters(self) -> int:
        return int(predict.n_free_parameters(self.model_, self.params_))

    def _seed(self) -> int:
        return int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))


def as_rows(estimator: Any, X: Any, **options: Any) -> Any:
    """X as floats, its columns counted and named on the estimator, or held against those.

    options: of scikit-learn's `validate_data`; with a y -> (X, y).
    """
    options = {"dtype": [np.float64, np.float32], **options}
    if isinstance(X, np.ma.MaskedArray):  # scikit-learn looks past the mask
        X = tables.table(X, "X")
    if options["dtype"] is not None:  # else the estimator takes text
        _require_numbers(estimator, X)
    if hasattr(validation, "validate_data"):
        return validation.validate_data(estimator, X, **options)
    finite = options.pop("ensure_all_finite", True)  # scikit-learn 1.5
    return estimator._validate_data(X, force_all_finite=finite, **options)


def _require_numbers(estimator: Any, X: Any) -> None:
    """ValueError for a frame with columns of text."""
    try:
        frame = frames.opened(X, "X")
    except ValueError:  # scikit-learn says what is wrong, and reads frames without narwhals
        return
    if frame is None:
        return
    import narwhals as nw

    if not isinstance(frame, nw.DataFrame):
        return
    words = (nw.String, nw.Categorical)
    text = [str(name) for name, dtype in frame.schema.items() if dtype in words]
    if text:
        alone = f"({type(estimator).__name__}(), make_column_selector(dtype_include='number'))"
        raise ValueError(
            f"columns that are not numeric: {', '.join(text)}; give the numbers alone, in a "
            f"pipeline by make_column_transformer({alone}, ...)"
        )
