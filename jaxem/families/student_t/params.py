"""The numbers of t components as a person gives them -> checked arrays."""

from typing import Any, NamedTuple

from jaxtyping import Array

from jaxem.core import checks
from jaxem.families.gaussian.covariance import Covariance
from jaxem.families.gaussian.params import GaussianParams, located
from jaxem.families.student_t.degrees_of_freedom import DegreesOfFreedom


class StudentTParams(NamedTuple):
    """means (k, d); scales in the shape of a Gaussian's covariances; degrees_of_freedom (k,).

    The covariance of a component is scale nu / (nu - 2), and there is none up to nu = 2.
    """

    means: Array
    scales: Array
    degrees_of_freedom: Array

    @property
    def gaussian(self) -> GaussianParams:
        """Those of the normal distributions whose scales are mixed."""
        return GaussianParams(self.means, self.scales)

    def of_normal(self, normal: GaussianParams) -> "StudentTParams":
        """With other means and scales."""
        return StudentTParams(normal.means, normal.covariances, self.degrees_of_freedom)


def as_params(
    structure: Covariance, law: DegreesOfFreedom, params: Any, x: Any, k: int, name: str
) -> StudentTParams:
    """x: rows, or what says their shapes; name: of the family."""
    checks.fields(params, StudentTParams, "components")
    means, scales = located(structure, params, x, k, name)
    given, called = params.degrees_of_freedom, "degrees_of_freedom"
    nu = checks.parameter(given, (k,), x.dtype, called, f"{k} components of {name}")
    law.constraint.check(nu, called)
    return StudentTParams(means, scales, nu)
