"""Columns of whole numbers, which have probabilities."""

from typing import Any

import numpy as np

from jaxem.core.contracts import Family, Params
from jaxem.families import Categorical, CategoricalParams
from jaxem.plot.column import Column, Moments, MomentsColumn


class PoissonColumn(MomentsColumn):
    whole = True

    def moments(self) -> Moments:
        rates = self.params.components.rates[:, 0]
        return rates, np.sqrt(rates)

    def grid(self, values: np.ndarray) -> np.ndarray:
        return np.unique(np.maximum(np.round(super().grid(values)), 0.0))


class NegativeBinomialColumn(PoissonColumn):
    def moments(self) -> Moments:
        means, sizes = (leaf[:, 0] for leaf in self.params.components)
        return means, np.sqrt(means + means**2 / sizes)


class ZeroInflatedPoissonColumn(PoissonColumn):
    def moments(self) -> Moments:
        inflations, rates = (leaf[:, 0] for leaf in self.params.components)
        means = (1 - inflations) * rates
        return means, np.sqrt(means * (1 + inflations * rates))


class BinomialColumn(Column):
    whole = True

    def moments(self) -> Moments:
        p, n = self.params.components.probabilities[:, 0], self._n_trials
        return n * p, np.sqrt(n * p * (1 - p))

    def grid(self, values: np.ndarray) -> np.ndarray:
        return np.arange(self._n_trials + 1.0)

    @property
    def _n_trials(self) -> int:
        family: Any = self.model.family
        return family.n_trials


class BernoulliColumn(Column):
    whole = True

    def moments(self) -> Moments:
        means = self.params.components.probabilities[:, 0]
        return means, np.sqrt(means * (1 - means))

    def grid(self, values: np.ndarray) -> np.ndarray:
        return np.arange(2.0)


class CategoricalColumn(Column):
    whole = True

    @staticmethod
    def alone(family: Any, components: Any, column: int) -> tuple[Family, Params]:
        own = components.probabilities[column]
        return Categorical(own.shape[1]), CategoricalParams((own,))

    def grid(self, values: np.ndarray) -> np.ndarray:
        return np.arange(float(self.params.components.probabilities[0].shape[1]))
