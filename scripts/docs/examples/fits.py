import jax
import numpy as np

import jaxem
from jaxem import datasets, families

jax.config.update("jax_enable_x64", True)
faithful = datasets.load_faithful()
x = faithful.x
model = jaxem.Mixture(families.Gaussian("full"), 2)

# %% jaxem: Result
result = jaxem.fit(model, x, key=jax.random.key(0), n_init=5)
print(result)
print(result.summary(names=("long", "short")))

# %% jaxem: Status, FitError
result = jaxem.fit(model, x, key=jax.random.key(0), n_init=5, max_iter=3)
print(jaxem.Status(int(result.status)).name)
try:
    result.raise_for_status()
except jaxem.FitError as error:
    print(error)

# %% jaxem.fitting.restarts: Restarts
restarts = jaxem.fit(model, x, key=jax.random.key(0), n_init=5).restarts
print(restarts.log_likelihood)  # of each start
print(restarts.n_best, "starts reached the optimum of start", restarts.best)

# %% jaxem.fitting.optima: Optima
three = jaxem.Mixture(families.Gaussian("full"), 3)
optima = jaxem.fit(three, x, key=jax.random.key(0), n_init=20).restarts.optima
for log_likelihood, count in zip(optima.log_likelihood, optima.count, strict=True):
    print(f"{log_likelihood:.3f} was reached by {count} starts")

# %% jaxem: ComparedOptima
three = jaxem.Mixture(families.Gaussian("full"), 3)
result = jaxem.fit(three, x, key=jax.random.key(0), n_init=20)
compared = jaxem.compare_optima(result, x)  # ComparedOptima
print(compared)
print(compared.params.weights)  # of each optimum, the components in the order of the best one's

# %% jaxem: fit_incremental
source = jaxem.sources.npy(x)
result = jaxem.fit_incremental(model, source, key=jax.random.key(0), n_init=5)
print(result.log_likelihood)
print(jaxem.em(model, result.params, x).log_likelihood)  # goes on from there

# %% jaxem: aic, n_free_parameters
params = jaxem.fit(model, x, key=jax.random.key(0), n_init=5).params
print(jaxem.n_free_parameters(model, params))  # 1 + 2 (2 + 3)
print(jaxem.aic(model, params, x))

# %% jaxem: Selection
candidates = [jaxem.Mixture(families.Gaussian("full"), k) for k in (1, 2, 3)]
selection = jaxem.select(candidates, x, key=jax.random.key(0), n_init=5)  # a Selection
print(selection)
print(selection.model, selection.best.bic)

# %% jaxem: lr_tests, LRTest
candidates = [jaxem.Mixture(families.Gaussian("full"), k) for k in (1, 2, 3)]
tests = jaxem.lr_tests(candidates, x, key=jax.random.key(0), n_boot=19, n_init=5)
for test in tests:  # an LRTest each: 1 against 2 components, then 2 against 3
    print(test)
    if test.p_value > 0.05:
        break

# %% jaxem: Bootstrap
result = jaxem.fit(model, x, key=jax.random.key(0), n_init=5)
boot = jaxem.bootstrap(model, result.params, x, key=jax.random.key(1), n_boot=50)  # a Bootstrap
print(boot.standard_errors.components.means)
print(boot.intervals(0.9).lower.weights)

# %% jaxem: ConfidenceIntervals
params = jaxem.fit(model, x, key=jax.random.key(0), n_init=5).params
intervals = jaxem.confidence_intervals(model, params, x)  # a ConfidenceIntervals
print(intervals.lower.components.means)
print(intervals.upper.components.means)

# %% jaxem: ParameterCovariance
params = jaxem.fit(model, x, key=jax.random.key(0), n_init=5).params
found = jaxem.parameter_covariance(model, params, x)  # a ParameterCovariance
print(found.names[:4], np.sqrt(np.diag(found.matrix)[:4]))

# %% jaxem: Diagnosis
params = jaxem.fit(model, x, key=jax.random.key(0), n_init=5).params
diagnosis = jaxem.diagnose(model, params, x)  # a Diagnosis
print(diagnosis)
print(diagnosis.spectral_radius)  # the error that is left after a step of EM

# %% jaxem: Slice
params = jaxem.fit(model, x, key=jax.random.key(0), n_init=5).params
weights = np.linspace(0.2, 0.8, 7)
found = jaxem.likelihood_slice(model, params, x, "weights[0]", weights)  # a Slice
print(found.argmax, found.log_likelihood)

# %% jaxem: Trace
start = jaxem.fit(model, x, key=jax.random.key(0), n_init=1, max_iter=0).params
trace = jaxem.em_trace(model, start, x, n_iter=4)  # a Trace
print(trace.log_likelihood)  # of the start, and after each of 4 steps
print(trace.params.weights.shape)

# %% jaxem: Moments
params = jaxem.fit(model, x, key=jax.random.key(0), n_init=5).params
mean, covariance = jaxem.moments(model, params)  # a Moments
print(mean)  # of the whole mixture
print(covariance)

# %% jaxem: Merging
four = jaxem.Mixture(families.Gaussian("full"), 4)
params = jaxem.fit(four, x, key=jax.random.key(0), n_init=5).params
merging = jaxem.merge_components(four, params, x)  # a Merging
print(merging.entropy)  # of 4, 3, 2 and 1 groups
print(merging.clusters(2))  # which of two groups each component is in
