"""The candidates of a selection by what varies between them: covariance structures, and k."""

from collections.abc import Callable, Iterable
from typing import Any

from jaxem.core import checks
from jaxem.core.contracts import Family, Model
from jaxem.families.gaussian import Gaussian
from jaxem.families.gaussian.structures import FOURTEEN
from jaxem.families.student_t import StudentT
from jaxem.models.mixture import Mixture

_FAMILIES: dict[str, Callable[[str], Family]] = {"gaussian": Gaussian, "student-t": StudentT}


def mixtures(family: Any, covariance: Any, n_components: Any) -> list[Model]:
    """A mixture for each family and number of components, k within family.

    family: "gaussian", "student-t", or a family. covariance: of those two, names of structures or
    "all", the fourteen of mclust. n_components: whole numbers, or one.
    """
    families = _families(family, covariance)
    ks = [n_components] if not isinstance(n_components, Iterable) else list(n_components)
    if n_components is None or not ks:
        raise ValueError("n_components says how many to try, such as range(1, 10)")
    return [Mixture(own, k) for own in families for k in ks]


def _families(family: Any, covariance: Any) -> list[Family]:
    if isinstance(family, Family):
        if covariance is not None:
            raise ValueError(f"covariance is for a family by its name; {family!r} has its own")
        return [family]
    checks.one_of(family, _FAMILIES, "family", ", or a family such as families.Poisson()")
    if covariance is None:
        raise ValueError(
            "covariance is missing: give a structure such as 'full', several in a list, or 'all', "
            "the fourteen of mclust"
        )
    if covariance == "all":
        covariance = FOURTEEN
    names = [covariance] if isinstance(covariance, str) else list(covariance)
    return [_FAMILIES[family](name) for name in names]
