"""`GaussianMixture` as scikit-learn has it: its parameters, methods and attributes, on jaxem."""

import time
import warnings
from numbers import Integral, Real
from typing import Any, ClassVar

import jax
import numpy as np
from sklearn.base import _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions

from jaxem.core import checks
from jaxem.core.dataset import as_dataset
from jaxem.core.status import Status
from jaxem.families import Gaussian
from jaxem.families.gaussian.prior import GaussianPrior
from jaxem.fitting import sizes
from jaxem.fitting.bundles import Bundle, bundle
from jaxem.fitting.driver import finish, recorded, start
from jaxem.fitting.em import State
from jaxem.fitting.options import Options, Starts
from jaxem.fitting.plan import FitPlan, prepare
from jaxem.fitting.result import Result
from jaxem.models.mixture import Mixture, MixtureParams, MixturePrior
from jaxem.sklearn import batches, initial, precisions
from jaxem.sklearn.conversion import as_jaxem
from jaxem.sklearn.fitted import FittedMixture, as_rows

_INIT = {
    "kmeans": "k-means++",
    "k-means++": "k-means++",
    "random": "random_from_data",  # for the shape of the starts alone
    "random_from_data": "random_from_data",
    "portfolio": "portfolio",
}
_SECONDS = 0.1  # between two looks at the iterations
_CARRIED = (
    "run",
    "gain",
    "mark",
    "stalled",
    "n_iter",
)  # what a warm start needs beside the parameters


class GaussianMixture(FittedMixture):
    """A Gaussian mixture fitted by EM, in place of `sklearn.mixture.GaussianMixture`.

    p(x) = sum_k weights_[k] N(x; means_[k], covariances_[k])

    Parameters
    ----------
    n_components, covariance_type, reg_covar, max_iter, n_init, random_state, warm_start, verbose,
    verbose_interval, weights_init, means_init, precisions_init :
        As in scikit-learn, with its defaults. Starts are cheap: n_init=100 is in place where one
        optimum of many is to be found.
    tol : float, default=1e-3
        Bound on what is projected to be left to gain in the mean log-likelihood per row.
    init_params : {"kmeans", "k-means++", "random", "random_from_data", "portfolio"}
        "kmeans" and "k-means++" are one rule. "portfolio" takes turns between it, its
        variants and random rows: recommended for n_init > 1.

    Attributes
    ----------
    weights_ (k,), means_ (k, d), covariances_, precisions_, precisions_cholesky_ :
        In scikit-learn's shapes, in the dtype of the data: float32 rows are fitted in float32,
        all others in float64, whatever JAX's own setting.
    converged_, status_, n_best_ :
        Whether the best start converged; how it ended, a `jaxem.Status`; how many regular starts
        are within 1e-6 relative of its objective, or within tol per row.
    n_iter_, lower_bound_, lower_bounds_ :
        M-steps of the best start; its objective per row, of exactly the parameters returned; that
        after each M-step, which never falls.
    n_features_in_, feature_names_in_ :
        What `fit` saw; the names where X is a frame.
    model_, params_ :
        The jaxem model and its parameters, for all that is not here.

    What differs from scikit-learn, and why, is told in the docstring of `jaxem.sklearn`.
    """

    _parameter_constraints: ClassVar[dict] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "covariance_type": [StrOptions({"full", "tied", "diag", "spherical"})],
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "reg_covar": [Interval(Real, 0.0, None, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "init_params": [StrOptions(set(_INIT))],
        "weights_init": ["array-like", None],
        "means_init": ["array-like", None],
        "precisions_init": ["array-like", None],
        "random_state": ["random_state"],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
        "verbose_interval": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        n_components: Any = 1,
        *,
        covariance_type: Any = "full",
        tol: Any = 1e-3,
        reg_covar: Any = 1e-6,
        max_iter: Any = 100,
        n_init: Any = 1,
        init_params: Any = "kmeans",
        weights_init: Any = None,
        means_init: Any = None,
        precisions_init: Any = None,
        random_state: Any = None,
        warm_start: Any = False,
        verbose: Any = 0,
        verbose_interval: Any = 10,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval

    @property
    def model_(self) -> Mixture:
        """The jaxem model, for `jaxem.log_prob(model_, params_, x)` and the other verbs."""
        return as_jaxem(self.covariance_type, self.weights_, self.means_, self.covariances_)[0]

    @property
    def params_(self) -> MixtureParams:
        """The jaxem parameters, of NumPy arrays."""
        return as_jaxem(self.covariance_type, self.weights_, self.means_, self.covariances_)[1]

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "GaussianMixture":
        """Fit from `n_init` starts and keep the best regular one.

        X: (n, d), an array or a frame; y is ignored; sample_weight: (n,) frequencies.
        Errors: ValueError for bad input, and where no start has a likelihood.
        """
        X = as_rows(self, X, ensure_min_samples=2)
        if X.shape[0] < self.n_components:
            raise ValueError(
                f"Expected n_samples >= n_components but got n_components = {self.n_components}, "
                f"n_samples = {X.shape[0]}"
            )
        vars(self).pop("_batches", None)
        with jax.enable_x64(X.dtype == np.float64):
            result = self._fit(X, sample_weight)
            if not self.converged_ and self.max_iter > 0:
                warnings.warn(
                    f"the best start did not converge: {result.explanation()}",
                    ConvergenceWarning,
                    stacklevel=3,
                )
        return self

    def _fit(self, X: np.ndarray, sample_weight: Any) -> Result:
        job, states = self._begin(X, sample_weight)
        states, history, before = self._iterate(job, states)
        result = finish(job, states)
        self._keep(_looked_at(states), history, before, result)
        return result

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "GaussianMixture":
        """Take one step of online EM by a batch of rows: for rows that come one batch at a time.

        s <- (1 - g) s + g E[T(x, z) | X],  g = (t + 10)^-0.6 at the t-th batch after the first

        The first batch is fitted as `fit` does, and needs n_components distinct rows at least; of
        later ones each moves the mean sufficient statistics s, of which the parameters are. Rows
        must come in no order that says something of them. It is never called converged: converged_
        is False, n_iter_ is t, and there is no lower_bound_, which is of all rows. `fit` begins
        anew.

        X: (n, d), y is ignored; sample_weight: (n,) frequencies within the batch.
        Errors: ValueError for bad input, and where a component is left without spread.
        Source: Cappé and Moulines (2009), J. R. Stat. Soc. B 71, 593-613.
        """
        before = getattr(self, "_batches", None)
        X = as_rows(self, X, reset=before is None, ensure_min_samples=1 if before else 2)
        if before is not None:
            X = X.astype(self.means_.dtype, copy=False)
        with jax.enable_x64(X.dtype == np.float64):
            if before is None:
                self._fit(X, sample_weight)
                found = batches.begun(self.model_, self.params_, X, sample_weight, self.reg_covar)
            else:
                self._check_same(before)
                found = batches.moved(before, X, sample_weight, self.reg_covar)
                self._keep_params(
                    found.state.params, "a component is left without spread: take larger batches"
                )
        self._batches, self.n_iter_ = found, int(found.state.t)
        self.status_, self.converged_ = Status.MAX_ITER, False
        for of_all_rows in ("lower_bound_", "lower_bounds_", "n_best_", "_progress"):
            vars(self).pop(of_all_rows, None)
        return self

    def _check_same(self, before: batches.Progress) -> None:
        if before.model != Mixture(Gaussian(self.covariance_type), self.n_components):
            raise ValueError(
                f"the batches before were fitted by {before.model!r}; to change n_components or "
                "covariance_type, begin anew by fit"
            )

    def _begin(self, X: np.ndarray, sample_weight: Any) -> tuple[FitPlan, Bundle]:
        """-> (the checked fit, every start at its starting parameters)."""
        k, family = self.n_components, Gaussian(self.covariance_type)
        structure, model = family.covariance, Mixture(family, k)
        data = as_dataset(model, X, sample_weight)
        options = Options(
            tol=self.tol,
            max_iter=self.max_iter,
            acceleration=None,  # an iteration is the one that scikit-learn's users know
            # Given where it is 0 too: one compilation serves every reg_covar.
            prior=MixturePrior(components=GaussianPrior(reg_covar=self.reg_covar)),
        )
        chosen = (self.weights_init, self.means_init, self.precisions_init)
        given = initial.read(*chosen, structure, k, X.shape[1])
        params = None
        if self.warm_start and hasattr(self, "weights_"):
            params = self.params_
        elif all(part is not None for part in given):
            params = as_jaxem(self.covariance_type, *given)[1]
        if params is not None:
            job = prepare(
                data, options, Starts(params), sizes.padded_k(model, data.for_fit, search=True)
            )
            return job._replace(n_threads=1), start(job)
        key = jax.random.key(self._seed())
        init = _INIT[self.init_params]
        free = self.init_params != "random" and all(part is None for part in given)
        padded_k = sizes.padded_k(model, data.for_fit, search=True) if free else None
        job = prepare(data, options, Starts(init, key, self.n_init), padded_k)
        state = _looked_at(start(job))
        params = state.params
        if self.init_params == "random":
            params = initial.random_responsibilities(
                model, job.rows, job.prior, key, len(job.methods)
            )
        params = jax.device_get(initial.complete(params, given))
        begun = bundle(state._replace(params=params, successor=params), 1)
        return job._replace(n_threads=1), begun

    def _iterate(self, job: FitPlan, states: Bundle) -> tuple[Bundle, np.ndarray, int]:
        """-> (all starts at their end, lower bounds (t, r), the iterations before this fit)."""
        began = time.perf_counter()
        evaluated, _ = next(recorded(job, states, _SECONDS))
        state, before = self._take_up(_looked_at(evaluated))
        history = [state.objective]
        job = job._replace(max_iter=checks.cast(before + self.max_iter, np.int32))
        states = bundle(state, 1)
        for after, record in recorded(job, states, _SECONDS):
            for objective, status in zip(record.objective.T, record.status.T, strict=True):
                history.append(objective)
                self._report(before + len(history) - 1, objective, status, began)
            states = after
        return states, np.array(history[1:]).reshape(-1, len(history[0])), before

    def _take_up(self, state: State) -> tuple[State, int]:
        """-> (the state, with the gains of the last fit where this goes on, its iterations).

        A warm start on the rows of the last fit so ends where an uncut fit would; on other rows
        those gains say nothing.
        """
        if not (self.warm_start and hasattr(self, "_progress")):
            return state, 0
        bound = float(state.objective[0])
        rounding = 1e3 * np.finfo(state.objective.dtype).eps * abs(bound)
        if not abs(bound - self.lower_bound_) <= rounding:
            return state, 0
        carried = {
            name: np.asarray(value[None], getattr(state, name).dtype)
            for name, value in self._progress.items()
        }
        return state._replace(**carried), int(self._progress["n_iter"])

    def _report(self, n_iter: int, objective: np.ndarray, status: np.ndarray, began: float) -> None:
        """A line every `verbose_interval` iterations; from verbose=2 on with bound and time."""
        if not self.verbose or n_iter % self.verbose_interval:
            return
        running = status == Status.RUNNING
        line = f"iteration {n_iter}: {running.sum()} of {running.size} starts still run"
        if self.verbose > 1:
            highest = np.max(objective)
            line += f", highest lower bound {highest:.6f}, {time.perf_counter() - began:.2f} s"
        print(line)

    def _keep(self, state: State, history: np.ndarray, before: int, result: Result) -> None:
        """The attributes of the best start, as NumPy arrays that pickle."""
        index = int(result.restarts.best)
        bound, why = float(state.objective[index]), result.explanation()
        params = result.params if np.isfinite(bound) else None
        self._keep_params(params, f"no start has a likelihood: {why}")
        self.n_iter_ = int(result.n_iter) - before
        self.lower_bound_ = bound
        self.lower_bounds_ = history[: self.n_iter_, index]
        self.status_ = Status(int(result.status))
        self.converged_ = self.status_.converged
        self.n_best_ = int(result.restarts.n_best)
        self._progress = {name: np.array(getattr(state, name))[index] for name in _CARRIED}

    def _keep_params(self, params: Any, why: str) -> None:
        """why: what is said where there are none, or covariances without inverse."""
        try:
            if params is None:
                raise np.linalg.LinAlgError
            weights, (means, covariances) = jax.tree.map(np.array, params)
            root = precisions.precisions_cholesky(covariances, self.covariance_type)
        except np.linalg.LinAlgError:
            raise ValueError(f"{why}; or raise reg_covar") from None
        self.weights_, self.means_, self.covariances_ = weights, means, covariances
        self.precisions_cholesky_ = root
        self.precisions_ = precisions.precisions(root, self.covariance_type)


def _looked_at(states: Bundle) -> State:
    """Arrays of NumPy with a leading axis, the starts."""
    return jax.device_get(states).tree
