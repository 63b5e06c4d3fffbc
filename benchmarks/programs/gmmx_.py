"""gmmx, which computes in float32 and knows full and diagonal covariances."""

import jax
import numpy as np
from gmmx import EMFitter, GaussianMixtureModelJax

from benchmarks.data import Parameters, Problem
from benchmarks.programs import Fit


class Gmmx:
    name = "gmmx"

    def refuses(self, problem: Problem) -> str:
        if problem.x.dtype != np.float32:
            return "float32 alone"
        return "" if problem.structure in ("full", "diag") else "full and diag alone"

    def fitter(self, problem: Problem) -> Fit:
        start = (leaf.astype(np.float32) for leaf in problem.start)
        weights, means, covariances = start
        with jax.enable_x64(False):
            x = jax.device_put(problem.x)
            model = GaussianMixtureModelJax.from_squeezed(
                means, covariances, weights, problem.structure
            )

        def fit(steps: int) -> Parameters:
            with jax.enable_x64(False):
                result = EMFitter(max_iter=steps, tol=0, reg_covar=0).fit(x, model)
            found = result.gmm
            arrays = (found.weights_numpy, found.means_numpy, found.covariances.values_numpy)
            return Parameters(*map(np.asarray, arrays))

        return fit


PROGRAM = Gmmx()
