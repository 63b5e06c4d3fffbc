"""scikit-learn's GaussianMixture."""

import warnings
from typing import Any

from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from benchmarks.data import Parameters, Problem
from benchmarks.programs import Fit
from jaxem.sklearn.precisions import precisions, precisions_cholesky


class ScikitLearn:
    name = "scikit-learn"

    def refuses(self, problem: Problem) -> str:
        return ""

    def fitter(self, problem: Problem) -> Fit:
        def fit(steps: int) -> Parameters:
            mixture = fitted(problem.x, problem.structure, starting(problem), steps)
            return Parameters(mixture.weights_, mixture.means_, mixture.covariances_)

        return fit


def starting(problem: Problem) -> dict[str, Any]:
    """The start in the dtype of the data: in another, the first step would be slower."""
    weights, means, covariances = problem.start
    roots = precisions_cholesky(covariances, problem.structure)
    start = {
        "weights_init": weights,
        "means_init": means,
        "precisions_init": precisions(roots, problem.structure),
    }
    return {name: value.astype(problem.x.dtype) for name, value in start.items()}


def fitted(x: Any, structure: str, start: dict[str, Any], steps: int) -> GaussianMixture:
    """Exactly so many steps: tol = 0 stops at no gain."""
    k = start["means_init"].shape[0]
    mixture = GaussianMixture(k, covariance_type=structure, tol=0, reg_covar=0, max_iter=steps,
                              init_params="random_from_data", **start)  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return mixture.fit(x)


PROGRAM = ScikitLearn()
