"""pomegranate, on torch's CPU; it stops by its tolerance, which is out of reach here."""

import numpy as np
import torch
from pomegranate.distributions import Normal
from pomegranate.gmm import GeneralMixtureModel

from benchmarks.data import Parameters, Problem
from benchmarks.programs import Fit


class Pomegranate:
    name = "pomegranate"

    def refuses(self, problem: Problem) -> str:
        if problem.x.dtype != np.float32:
            return "float32 alone"  # its weights of rows are
        return "" if problem.structure in ("full", "diag") else "full and diag alone"

    def fitter(self, problem: Problem) -> Fit:
        x = torch.tensor(problem.x)
        weights, means, covariances = (
            torch.tensor(leaf, dtype=torch.float32) for leaf in problem.start
        )

        def fit(steps: int) -> Parameters:
            components = [  # they are changed in place: copies
                Normal(mean.clone(), covariance.clone(), problem.structure)
                for mean, covariance in zip(means, covariances, strict=True)
            ]
            model = GeneralMixtureModel(
                components, weights.clone(), max_iter=steps, tol=float("-inf")
            ).fit(x)
            found = (torch.stack([c.means for c in components]),
                     torch.stack([c.covs for c in components]))  # fmt: skip
            return Parameters(*(leaf.detach().numpy() for leaf in (model.priors, *found)))

        return fit


PROGRAM = Pomegranate()
