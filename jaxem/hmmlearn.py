"""The hmmlearn face: hidden Markov models handed back and forth. Needs `jaxem[hmmlearn]`.

| jaxem's HMM of        | hmmlearn's       | its parameters                  |
|-----------------------|------------------|---------------------------------|
| `Gaussian(name)`      | `GaussianHMM`    | `means_`, `covars_`             |
| `Poisson()`           | `PoissonHMM`     | `lambdas_`                      |
| `Categorical(levels)` | `CategoricalHMM` | `emissionprob_`, one column     |
| `Multinomial(trials)` | `MultinomialHMM` | `emissionprob_`, rows of counts |

Sequences are a list here, and end to end with their lengths there:
`estimator.score(np.concatenate(parts), [len(part) for part in parts])`.

What one side has and the other has not:

- Priors stay behind: hmmlearn's are numbers of the estimator, jaxem's the `prior` of a fit. An
  estimator made here has none of them, so that both climb the same likelihood.
- An initial law that hmmlearn's fit leaves alone (no "s" in `params`) is jaxem's initial="fixed",
  both ways; other parts that it leaves alone are free in jaxem unless a fit is told `fixed=`.
  initial="stationary" goes over as the numbers of that law, which hmmlearn frees.
- Transitions come as "full", with zeros kept: EM leaves a zero at zero on both sides, and whether
  it was ruled out or estimated is not told. Where it was ruled out, the same parameters fit
  `HMM(model.family, model.n_states, transitions="left-right")`, or a mask, which counts fewer
  parameters and starts without it.
- A row of zeros in `transmat_` (no transition from that state was seen) is no law of what follows:
  hmmlearn scores nothing with it, jaxem means a state that is absent. It is an error here.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

try:
    from hmmlearn import hmm
except ModuleNotFoundError as error:
    if error.name != "hmmlearn":
        raise
    raise ModuleNotFoundError(
        "jaxem.hmmlearn needs hmmlearn; pip install 'jaxem[hmmlearn]'", name=error.name
    ) from None
from sklearn.exceptions import NotFittedError

from jaxem import families
from jaxem.core import checks
from jaxem.core.contracts import Family, Params
from jaxem.families.gaussian.structures import FOUR
from jaxem.models.hmm import HMM, HMMParams


class Kind(NamedTuple):
    """One of hmmlearn's estimators; read and write are of the emissions alone.

    letters: those of its `params` but "s". names: the attributes that a fit sets, but the chain's.
    """

    estimator: type
    family: type[Family]
    letters: str
    names: tuple[str, ...]
    read: Callable[[Any], tuple[Family, Params]]
    write: Callable[[Any, Any, dict[str, Any]], Any]


def from_hmmlearn(estimator: Any) -> tuple[HMM, HMMParams]:
    """-> (model, params) of a fitted estimator of `hmmlearn.hmm`; NumPy arrays, copied.

    Errors: NotFittedError (a ValueError) before `fit`; ValueError for other estimators, and where
    a state was lost on the way: rows that do not add up to 1, NaN.
    """
    kind = next((kind for kind in KINDS if isinstance(estimator, kind.estimator)), None)
    called = type(estimator).__name__
    if kind is None:
        known = ", ".join(kind.estimator.__name__ for kind in KINDS)
        raise ValueError(f"estimator is a {called}; give a fitted one of hmmlearn's {known}")
    names = ("startprob_", "transmat_", *kind.names)
    missing = [name.lstrip("_") for name in names if not hasattr(estimator, name)]
    if missing:
        raise NotFittedError(f"this {called} has no {', '.join(missing)}: call fit, or set them")
    transition = _floats(estimator.transmat_)
    nowhere = np.flatnonzero(~transition.any(axis=-1))
    if len(nowhere):
        raise ValueError(
            f"transmat_[{nowhere[0]}] is all 0: no transition from that state was seen; set that "
            f"row to a law, such as 1 / {estimator.n_components}, or fit fewer states"
        )
    family, emissions = kind.read(estimator)
    initial = "free" if "s" in estimator.params else "fixed"
    model = HMM(family, estimator.n_components, initial)
    params = HMMParams(_floats(estimator.startprob_), transition, emissions)
    _checked(model, params)
    return model, params


def to_hmmlearn(model: Any, params: Any) -> Any:
    """An estimator of `hmmlearn.hmm` at these parameters, ready to score, predict and sample.

    It has iterated nothing. Its `fit` goes on from here (init_params is "") by plain EM of the
    likelihood alone, for `estimator.n_iter = estimator.monitor_.n_iter = 100` steps, and wants
    symbols and counts as integers; a MultinomialHMM is fitted to rows of n_trials draws, or, with
    n_trials = None, of any. Numbers are float64, as hmmlearn's are; probabilities of a lower
    precision are made to add up to 1 in it.
    Errors: ValueError for models that hmmlearn has not, for parameters that do not fit the model,
    and for singular covariances.
    """
    if not isinstance(model, HMM):
        raise ValueError(
            f"model is {model!r}; hmmlearn has hidden Markov models alone: give an HMM"
        )
    kind = next((kind for kind in KINDS if isinstance(model.family, kind.family)), None)
    if kind is None:
        known = ", ".join(kind.family.__name__ for kind in KINDS)
        raise ValueError(f"the family is {model.family!r}; hmmlearn has those of {known} alone")
    found = _checked(model, params)
    letters = kind.letters if model.initial == "fixed" else f"s{kind.letters}"
    options = {"n_components": model.n_states, "params": letters, "init_params": ""}
    estimator = kind.write(model.family, found.emissions, options)
    estimator.startprob_ = _probabilities(found.initial, "initial")
    estimator.transmat_ = _probabilities(found.transition, "transition")
    return estimator


def _checked(model: HMM, params: Any) -> HMMParams:
    with jax.enable_x64(True):  # float64 stays so; other parameters keep their own dtype
        return model.as_params(params, None)


def _floats(value: Any) -> Any:
    return np.array(value, np.float64)


def _probabilities(value: Any, name: str) -> Any:
    """Rows of probabilities that hmmlearn takes: they add up to 1 within 1e-5 there."""
    p, exact = _floats(value), value.dtype == np.float64
    total = p.sum(axis=-1, keepdims=True)
    if np.any(np.abs(total - 1) > (1e-5 if exact else 1e-3)):
        raise ValueError(
            f"{name} adds up to {np.squeeze(total)}; scale it to 1, and leave out absent states"
        )
    return p if exact else p / total


# ---- the emissions of each kind


def _read_gaussian(estimator: Any) -> tuple[Family, Params]:
    means, covariances = _floats(estimator.means_), _floats(estimator._covars_)
    if estimator.covariance_type == "spherical":  # (k,) as set, (k, d) as fitted
        each = covariances.reshape(len(covariances), -1)
        if not np.all(each == each[:, :1]):
            raise ValueError(
                f"covars_ is {each}, spherical with columns that differ; take 'diag' for it"
            )
        covariances = each[:, 0].copy()
    family = families.Gaussian(estimator.covariance_type)
    return family, families.GaussianParams(means, covariances)


def _write_gaussian(family: Any, params: Any, options: dict[str, Any]) -> Any:
    name = family.covariance.name
    checks.one_of(name, FOUR, "the covariance of a model for hmmlearn")
    estimator: Any = hmm.GaussianHMM(
        covariance_type=name, covars_prior=0, covars_weight=0, **options
    )
    estimator.means_ = _floats(params.means)
    estimator.n_features = estimator.means_.shape[1]
    try:
        estimator.covars_ = _floats(params.covariances)
    except ValueError as error:
        raise ValueError(f"a covariance has no inverse ({error}); fit with a reg_covar") from None
    return estimator


def _read_poisson(estimator: Any) -> tuple[Family, Params]:
    return families.Poisson(), families.PoissonParams(_floats(estimator.lambdas_))


def _write_poisson(family: Any, params: Any, options: dict[str, Any]) -> Any:
    if family.exposure:
        raise ValueError(
            f"the family is {family!r}; hmmlearn has no exposures: give Poisson() where they are "
            "all equal, with the rates times that exposure"
        )
    estimator: Any = hmm.PoissonHMM(**options)
    estimator.lambdas_ = _floats(params.rates)
    estimator.n_features = estimator.lambdas_.shape[1]
    return estimator


def _read_categorical(estimator: Any) -> tuple[Family, Params]:
    probabilities = _floats(estimator.emissionprob_)
    family = families.Categorical(probabilities.shape[-1])
    return family, families.CategoricalParams((probabilities,))


def _write_categorical(family: Any, params: Any, options: dict[str, Any]) -> Any:
    if len(params.probabilities) != 1:
        raise ValueError(
            f"the family is {family!r} of {len(params.probabilities)} columns; a CategoricalHMM "
            "has one: make one column of all their combinations"
        )
    probabilities = _probabilities(params.probabilities[0], "probabilities[0]")
    estimator: Any = hmm.CategoricalHMM(n_features=probabilities.shape[1], **options)
    estimator.emissionprob_ = probabilities
    return estimator


def _read_multinomial(estimator: Any) -> tuple[Family, Params]:
    """Draws of a row to sample: where rows had several numbers of them, one, as by default."""
    probabilities = _floats(estimator.emissionprob_)
    trials = np.unique(1 if estimator.n_trials is None else estimator.n_trials)
    family = families.Multinomial(int(trials[0]) if len(trials) == 1 else 1)
    return family, families.MultinomialParams(probabilities)


def _write_multinomial(family: Any, params: Any, options: dict[str, Any]) -> Any:
    estimator: Any = hmm.MultinomialHMM(n_trials=family.n_trials, **options)
    estimator.emissionprob_ = _probabilities(params.probabilities, "probabilities")
    estimator.n_features = estimator.emissionprob_.shape[1]
    return estimator


KINDS = (
    Kind(
        hmm.GaussianHMM, families.Gaussian, "tmc", ("means_", "_covars_"),
        _read_gaussian, _write_gaussian,
    ),
    Kind(hmm.PoissonHMM, families.Poisson, "tl", ("lambdas_",), _read_poisson, _write_poisson),
    Kind(
        hmm.CategoricalHMM, families.Categorical, "te", ("emissionprob_",),
        _read_categorical, _write_categorical,
    ),
    Kind(
        hmm.MultinomialHMM, families.Multinomial, "te", ("emissionprob_",),
        _read_multinomial, _write_multinomial,
    ),
)  # fmt: skip
