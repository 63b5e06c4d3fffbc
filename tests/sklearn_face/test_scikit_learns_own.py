"""scikit-learn's own tests of its mixtures, run on ours.

The installed test modules are imported, and the name `GaussianMixture` in them is ours. The type of
every error and warning is held to theirs; the wording is not, since messages here are our own.
"""

import importlib
import os
import types

import numpy as np
import pytest
from sklearn import mixture

import jaxem.sklearn
from jaxem.sklearn import GaussianMixture

PRIVATE = "a private function of scikit-learn, not the estimator"
ARRAY_API = "array API dispatch: arrays of other libraries are read as NumPy's here"
NOT_APPLICABLE = {
    "test_suffstat_sk_full": PRIVATE,
    "test_suffstat_sk_tied": PRIVATE,
    "test_suffstat_sk_diag": PRIVATE,
    "test_gaussian_suffstat_sk_spherical": PRIVATE,
    "test_compute_log_det_cholesky": PRIVATE,
    "test_gaussian_mixture_log_probabilities": PRIVATE,
    "test_gaussian_mixture_precisions_init": PRIVATE,
    "test_gaussian_mixture_all_init_does_not_estimate_gaussian_parameters": PRIVATE,
    "test_gaussian_mixture_array_api_compliance": ARRAY_API,
    "test_gaussian_mixture_raises_where_array_api_not_implemented": ARRAY_API,
    "test_gaussian_mixture_precisions_init_diag": "takes scikit-learn's own k-means for the start",
    "test_monotonic_likelihood": "more than tol is left to gain after its 600 steps",
    "test_regularisation": "ten components for two distinct rows are an error here",
}
# Each compiles for many shapes.
SLOW = (
    "test_gaussian_mixture_verbose", "test_gaussian_mixture_attributes",
    "test_gaussian_mixture_n_iter", "test_gaussian_mixture_predict_predict_proba",
    "test_multiple_init", "test_gaussian_mixture_fit_best_params", "test_sample",
    "test_gaussian_mixture_fit", "test_gaussian_mixture_fit_convergence_warning",
    "test_gaussian_mixture_aic_bic", "test_check_precisions", "test_bic_1d_1component",
    "test_warm_start", "test_gaussian_mixture_estimate_log_prob_resp", "test_init",
    "test_gaussian_mixture_fit_predict_n_init", "test_gaussian_mixture_n_parameters",
)  # fmt: skip
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def _modules():
    for name in ("test_gaussian_mixture", "test_mixture"):
        try:
            yield importlib.import_module(f"sklearn.mixture.tests.{name}")
        except ImportError:  # a distribution without its tests
            continue


def _ours(mark):
    """A parametrize mark in which estimators of scikit-learn are ours; variational ones go."""
    if mark.name != "parametrize" or not isinstance(mark.args[1], (list, tuple)):
        return mark
    values = [
        GaussianMixture(**value.get_params()) if type(value) is mixture.GaussianMixture else value
        for value in mark.args[1]
        if not isinstance(value, mixture.BayesianGaussianMixture)
    ]
    return getattr(pytest.mark, mark.name)(mark.args[0], values, *mark.args[2:], **mark.kwargs).mark


MODULES = list(_modules())
for _module in MODULES:
    for _name, _test in list(vars(_module).items()):
        is_test = _name.startswith("test_") and isinstance(_test, types.FunctionType)
        if is_test and _name not in NOT_APPLICABLE:
            marks = [_ours(mark) for mark in getattr(_test, "pytestmark", [])]
            _test.pytestmark = marks + [pytest.mark.slow.mark] * (_name in SLOW)
            globals()[_name] = _test


@pytest.fixture(autouse=True)
def ours(monkeypatch):
    any_wording = types.SimpleNamespace(**vars(pytest))
    any_wording.raises = lambda kind, match=None: pytest.raises(kind)
    any_wording.warns = lambda kind, match=None: pytest.warns(kind)
    for module in MODULES:
        monkeypatch.setattr(module, "GaussianMixture", GaussianMixture)
        monkeypatch.setattr(module, "pytest", any_wording)


# As in scikit-learn, SKLEARN_RUN_FLOAT32_TESTS=1 runs them in float32 as well.
SINGLE = [np.float32] if os.environ.get("SKLEARN_RUN_FLOAT32_TESTS") == "1" else []


@pytest.fixture(params=[*SINGLE, np.float64])
def global_dtype(request):
    return request.param


@pytest.fixture
def global_random_seed():
    return 42


def test_what_does_not_apply_is_told_in_the_documentation():
    assert [name for name in NOT_APPLICABLE if name not in jaxem.sklearn.__doc__] == []
