"""jaxem: plain EM, from data that is on the device."""

import jax
import numpy as np

import jaxem
from benchmarks.data import Parameters, Problem
from benchmarks.programs import Fit
from jaxem.families import Gaussian, GaussianParams


class Jaxem:
    name = "jaxem"

    def refuses(self, problem: Problem) -> str:
        return ""

    def fitter(self, problem: Problem) -> Fit:
        x = jax.device_put(problem.x)
        model = jaxem.Mixture(Gaussian(problem.structure), len(problem.start.weights))
        start = as_params(problem.start)

        def fit(steps: int) -> Parameters:
            result = jaxem.em(model, start, x, tol=0, max_iter=steps, acceleration=None)
            if int(result.n_iter) != steps:
                raise ArithmeticError(f"{int(result.n_iter)} of {steps} steps: {result.status}")
            return from_params(result.params)

        return fit


def as_params(parameters: Parameters) -> jaxem.MixtureParams:
    components = GaussianParams(parameters.means, parameters.covariances)
    return jaxem.MixtureParams(parameters.weights, components)


def from_params(params: jaxem.MixtureParams) -> Parameters:
    return Parameters(*(np.asarray(leaf) for leaf in (params.weights, *params.components)))


PROGRAM = Jaxem()
