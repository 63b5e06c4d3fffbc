"""Columns of numbers, which have densities."""

import math
from typing import Any

import numpy as np

from jaxem.core.contracts import Family, Params
from jaxem.plot import evaluate
from jaxem.plot.column import Column, Moments, MomentsColumn


class GaussianColumn(MomentsColumn):
    @staticmethod
    def alone(family: Any, components: Any, column: int) -> tuple[Family, Params]:
        if components.means.shape[1] == 1:
            return family, components
        return family.marginal(components, np.array([column]))

    def moments(self) -> Moments:
        means, deviations = evaluate.moments(self.model.family, self.params.components)
        return means[:, 0], deviations[:, 0]


class PositiveColumn(MomentsColumn):
    def grid(self, values: np.ndarray) -> np.ndarray:
        """From near 0 on: a density may have no bound there."""
        least = 1e-3 * min(float(values.min()), float(self.moments()[0].min()))
        return np.unique(np.maximum(super().grid(values), least))


class ExponentialColumn(PositiveColumn):
    def moments(self) -> Moments:
        means = 1 / self.params.components.rates[:, 0]
        return means, means


class GammaColumn(PositiveColumn):
    def moments(self) -> Moments:
        shapes, rates = (leaf[:, 0] for leaf in self.params.components)
        return shapes / rates, np.sqrt(shapes) / rates


class LogNormalColumn(PositiveColumn):
    def moments(self) -> Moments:
        medians, scales = (leaf[:, 0] for leaf in self.params.components)
        means = medians * np.exp(0.5 * scales**2)
        return means, means * np.sqrt(np.expm1(scales**2))


class WeibullColumn(PositiveColumn):
    def moments(self) -> Moments:
        shapes, scales = (leaf[:, 0] for leaf in self.params.components)
        one, two = (np.vectorize(math.lgamma)(1 + i / shapes) for i in (1, 2))
        return scales * np.exp(one), scales * np.exp(one) * np.sqrt(np.expm1(two - 2 * one))


class InverseGaussianColumn(PositiveColumn):
    def moments(self) -> Moments:
        means, shapes = (leaf[:, 0] for leaf in self.params.components)
        return means, means * np.sqrt(means / shapes)


class BetaColumn(MomentsColumn):
    def moments(self) -> Moments:
        means, sizes = (leaf[:, 0] for leaf in self.params.components)
        return means, np.sqrt(means * (1 - means) / (sizes + 1))

    def grid(self, values: np.ndarray) -> np.ndarray:
        """Within 0 and 1, where a density may have no bound."""
        margin = 1e-3 * min(float(values.min()), 1 - float(values.max()))
        return np.unique(np.clip(super().grid(values), margin, 1 - margin))


class AngleColumn(Column):
    def values(self, x: np.ndarray) -> np.ndarray:
        """In (-pi, pi]: multiples of 2 pi do not matter."""
        return np.pi - np.mod(np.pi - x, 2 * np.pi)

    def grid(self, values: np.ndarray) -> np.ndarray:
        return np.linspace(-np.pi, np.pi, 1441)


class DensityColumn(Column):
    @staticmethod
    def alone(family: Any, components: Any, column: int) -> tuple[Family, Params]:
        return family, components

    def grid(self, values: np.ndarray) -> np.ndarray:
        low, high = float(values.min()), float(values.max())
        margin = 0.1 * (high - low) if high > low else 1.0
        return np.linspace(low - margin, high + margin, 1001)
