"""scikit-learn's GaussianMixture on torch arrays, on the GPU where torch sees one."""

import sklearn
import torch

from benchmarks.data import Parameters, Problem
from benchmarks.programs import Fit
from benchmarks.programs.scikit_learn import fitted, starting


class Torch:
    name = "scikit-learn on torch"

    def refuses(self, problem: Problem) -> str:
        return ""

    def fitter(self, problem: Problem) -> Fit:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        x = torch.tensor(problem.x, device=device)
        start = {
            name: torch.tensor(value, device=device) for name, value in starting(problem).items()
        }

        def fit(steps: int) -> Parameters:
            with sklearn.config_context(array_api_dispatch=True):
                mixture = fitted(x, problem.structure, start, steps)
            leaves = (mixture.weights_, mixture.means_, mixture.covariances_)
            return Parameters(*(leaf.cpu().numpy() for leaf in leaves))

        return fit


PROGRAM = Torch()
