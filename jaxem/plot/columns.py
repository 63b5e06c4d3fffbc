"""One column of a mixture as a mixture of its own: its moments, and where it is evaluated."""

import abc
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from jaxem.core.contracts import Family, Params
from jaxem.families import (
    Bernoulli,
    Categorical,
    CategoricalParams,
    Density,
    Exponential,
    Gamma,
    Gaussian,
    Poisson,
    StudentT,
    VonMises,
)
from jaxem.models import Mixture, MixtureParams
from jaxem.plot import evaluate

Moments = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Column(abc.ABC):
    """A mixture of one column."""

    model: Mixture
    params: Any  # MixtureParams of NumPy arrays

    whole: ClassVar[bool] = False  # whole numbers have probabilities, others densities

    @property
    def quantity(self) -> str:
        return "probability" if self.whole else "density"

    @staticmethod
    def alone(family: Any, components: Any, column: int) -> tuple[Family, Params]:
        """Those of that column, of which the others are independent."""
        return family, type(components)(*(leaf[:, [column]] for leaf in components))

    def moments(self) -> Moments | None:
        """Means and standard deviations of the components, (k,) both; None: it does not tell."""
        return None

    def values(self, x: np.ndarray) -> np.ndarray:
        """Observed numbers as they are drawn."""
        return x

    @abc.abstractmethod
    def grid(self, values: np.ndarray) -> np.ndarray:
        """Where to evaluate it, in order."""


class MomentsColumn(Column):
    """Looked at over the range of the values, and around each component that is there."""

    @abc.abstractmethod
    def moments(self) -> Moments: ...

    def grid(self, values: np.ndarray) -> np.ndarray:
        live = self.params.weights > 0
        means, deviations = self.moments()
        low, high = float(values.min()), float(values.max())
        return evaluate.line(low, high, means[live], deviations[live])


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


class PoissonColumn(MomentsColumn):
    whole = True

    def moments(self) -> Moments:
        rates = self.params.components.rates[:, 0]
        return rates, np.sqrt(rates)

    def grid(self, values: np.ndarray) -> np.ndarray:
        return np.unique(np.maximum(np.round(super().grid(values)), 0.0))


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


COLUMNS: dict[type[Family], type[Column]] = {
    Gaussian: GaussianColumn,
    StudentT: GaussianColumn,
    Exponential: ExponentialColumn,
    Gamma: GammaColumn,
    VonMises: AngleColumn,
    Density: DensityColumn,
    Poisson: PoissonColumn,
    Bernoulli: BernoulliColumn,
    Categorical: CategoricalColumn,
}


def kind(family: Family, d: int) -> type[Column] | None:
    """How a column of this family is drawn; None where one column has no distribution alone."""
    exposed = isinstance(family, Poisson) and family.exposure
    if exposed or (isinstance(family, Density) and d > 1):
        return None
    return next((own for of, own in COLUMNS.items() if isinstance(family, of)), None)


def column(family: Family, weights: Any, components: Params, index: int, d: int) -> Column:
    """The column at `index` of d, of components with these weights."""
    own = kind(family, d)
    if own is None:
        drawn = ", ".join(of.__name__ for of in COLUMNS)
        raise ValueError(
            f"{family!r} of {d} columns has no distribution of one column alone; density draws "
            f"{drawn} (without exposure, and a Density of one column); starts and criterion are "
            "of any model, decoded and transition_matrix of any HMM"
        )
    family, components = own.alone(family, components, index)
    return own(Mixture(family, len(weights)), MixtureParams(weights, components))
