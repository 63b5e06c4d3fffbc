"""One column of a mixture as a mixture of its own: its moments, and where it is evaluated."""

import abc
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from jaxem.core.contracts import Family, Params
from jaxem.models import Mixture
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
