"""Which families have columns that are drawn alone, and how."""

from typing import Any

from jaxem.core.contracts import Family, Params
from jaxem.families import (
    Bernoulli,
    Beta,
    Binomial,
    Categorical,
    Density,
    Exponential,
    Gamma,
    Gaussian,
    InverseGaussian,
    LogNormal,
    NegativeBinomial,
    Poisson,
    StudentT,
    VonMises,
    Weibull,
    ZeroInflatedPoisson,
)
from jaxem.models import Mixture, MixtureParams
from jaxem.plot.column import Column
from jaxem.plot.count_columns import (
    BernoulliColumn,
    BinomialColumn,
    CategoricalColumn,
    NegativeBinomialColumn,
    PoissonColumn,
    ZeroInflatedPoissonColumn,
)
from jaxem.plot.number_columns import (
    AngleColumn,
    BetaColumn,
    DensityColumn,
    ExponentialColumn,
    GammaColumn,
    GaussianColumn,
    InverseGaussianColumn,
    LogNormalColumn,
    WeibullColumn,
)

COLUMNS: dict[type[Family], type[Column]] = {
    Gaussian: GaussianColumn,
    StudentT: GaussianColumn,
    Exponential: ExponentialColumn,
    Gamma: GammaColumn,
    LogNormal: LogNormalColumn,
    Weibull: WeibullColumn,
    InverseGaussian: InverseGaussianColumn,
    Beta: BetaColumn,
    VonMises: AngleColumn,
    Density: DensityColumn,
    Poisson: PoissonColumn,
    NegativeBinomial: NegativeBinomialColumn,
    ZeroInflatedPoisson: ZeroInflatedPoissonColumn,
    Binomial: BinomialColumn,
    Bernoulli: BernoulliColumn,
    Categorical: CategoricalColumn,
}


def kind(family: Family, d: int) -> type[Column] | None:
    """How a column of this family is drawn; None where one column has no distribution alone."""
    exposed = isinstance(family, Poisson) and family.exposure
    exposed |= isinstance(family, Binomial) and family.n_trials is None
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
            f"{drawn} (without exposure or trials, and a Density of one column); starts and "
            "criterion are of any model, decoded and transition_matrix of any HMM"
        )
    family, components = own.alone(family, components, index)
    return own(Mixture(family, len(weights)), MixtureParams(weights, components))
