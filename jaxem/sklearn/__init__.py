"""The scikit-learn face: estimators, and fits handed back and forth. Needs `jaxem[sklearn]`.

What differs in `GaussianMixture` from scikit-learn's, and why:

- A start that collapsed onto a few rows never wins over a regular one. Where nothing better was
  found, a ConvergenceWarning says which component collapsed, and converged_ is False; so it is for
  every other end but convergence. A ValueError is raised where no start has a likelihood.
- tol bounds what is projected to be left to gain, not the last gain, and no start ends before five
  steps: lack of progress is not convergence. Slow fits take more steps, to a higher likelihood.
- reg_covar is part of the objective (each log density is lowered by reg_covar / 2 tr(inv(C))), so
  that no step lowers it; scikit-learn adds it after the M-step. Results differ to first order in
  reg_covar.
- "kmeans" and "k-means++" are one rule, k-means++ seeds in standardised columns and five steps of
  Lloyd; "random_from_data" starts from the covariance of all rows, not from reg_covar alone;
  "portfolio" is new, and recommended for n_init > 1.
- partial_fit takes a step of online EM for each batch of rows.
- fit takes sample_weight: frequencies, 0 for a row that is absent.
- lower_bound_ is of exactly the parameters returned, not of those a step before.
- Fewer distinct rows than components is a ValueError.
- Messages are worded differently, and array API dispatch is not supported.
- The first fit of a new shape compiles for a second or two.

Of scikit-learn's own tests these do not apply:

- test_suffstat_sk_full, test_suffstat_sk_tied, test_suffstat_sk_diag,
  test_gaussian_suffstat_sk_spherical, test_compute_log_det_cholesky,
  test_gaussian_mixture_log_probabilities, test_gaussian_mixture_precisions_init and
  test_gaussian_mixture_all_init_does_not_estimate_gaussian_parameters are of its private functions;
- test_gaussian_mixture_array_api_compliance and
  test_gaussian_mixture_raises_where_array_api_not_implemented are of array API dispatch;
- test_gaussian_mixture_precisions_init_diag takes its own k-means for the start;
- test_monotonic_likelihood asks for convergence within 600 steps, after which more than its tol is
  left to gain;
- test_regularisation fits ten components to two distinct rows.
"""

try:
    import sklearn as _sklearn  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "sklearn":
        raise
    raise ModuleNotFoundError(
        "jaxem.sklearn needs scikit-learn; pip install 'jaxem[sklearn]'", name=error.name
    ) from None

from jaxem.sklearn.classifier import MixtureClassifier as MixtureClassifier
from jaxem.sklearn.conversion import from_sklearn as from_sklearn
from jaxem.sklearn.conversion import to_sklearn as to_sklearn
from jaxem.sklearn.estimator import GaussianMixture as GaussianMixture
from jaxem.sklearn.hidden_markov import HiddenMarkovModel as HiddenMarkovModel
from jaxem.sklearn.imputer import EMImputer as EMImputer
from jaxem.sklearn.latent_class import LatentClassAnalysis as LatentClassAnalysis
from jaxem.sklearn.student import StudentMixture as StudentMixture
