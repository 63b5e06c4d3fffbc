import jax
import jax.numpy as jnp
import numpy as np

import jaxem
from jaxem import datasets, families
from jaxem.core import constraints

jax.config.update("jax_enable_x64", True)

# %% jaxem.core.contracts: Model
model = jaxem.Mixture(families.Gaussian("full"), 2)  # a Model, and so is an HMM
print(model.n_components, model.with_n_components(3))
print(model.constraints)  # where its parameters may lie

# %% jaxem.core.contracts: Rows
model = jaxem.Mixture(families.Gaussian("full"), 2)
rows = jaxem.read(model, datasets.load_faithful().x).rows  # a Rows: what `e_step` gets
print(rows.x.shape, rows.weight.shape, rows.labels)

# %% jaxem.core.contracts: Health
model = jaxem.Mixture(families.Gaussian("full"), 2)
health = jaxem.fit(model, datasets.load_faithful().x, key=jax.random.key(0), n_init=5).health
print(health.count)  # effective rows of each component
print(health.variance_ratio)  # near 0 where one has collapsed

# %% jaxem.core.constraints: Constraint, Positive, NonNegative, Probability, Variance
for kind in (constraints.Positive(), constraints.Probability(), constraints.Variance()):
    assert isinstance(kind, constraints.Constraint)
    value = jnp.array([0.1, 0.5])
    coordinate = kind.to_unconstrained(value)  # log x, log odds, log of a standard deviation
    print(kind, coordinate, kind.from_unconstrained(coordinate))
print(constraints.NonNegative().ends(jnp.array([0.0, 2.0])))  # which are at the boundary

# %% jaxem.core.constraints: Real, Angle
turned = constraints.Angle().unwrap(np.array([6.1]), np.array([0.0]))  # nearest to 0
print(turned)
print(constraints.Real().n_free(jnp.full((2, 3), jnp.nan), jnp.array([True, True])))

# %% jaxem.core.constraints: Between, Given, Equal
freedom = constraints.Between(0.1, 200.0)  # of a Student t
print(freedom.from_unconstrained(jnp.array([-9.0, 1.0])))  # never outside
print(constraints.Given(4.0).from_unconstrained(jnp.zeros(2)))  # what the specification says
common = constraints.Equal(freedom)  # one number that each component has
print(common.n_free(jnp.full(3, jnp.nan), jnp.array([True, True, True])))

# %% jaxem.core.constraints: Simplex, Shares
table = jnp.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])  # of categories, in two components
free, active = jnp.full((2, 3), jnp.nan), jnp.array([True, True])
print(constraints.Simplex().n_free(free, active))  # of each row one follows from the others
print(constraints.Simplex().fix(table, free.at[0, 0].set(0.4)))  # the others share the rest
print(constraints.Shares().n_free(free[0, :2], active))  # of the weights

# %% jaxem.core.constraints: Covariance
covariance = jnp.array([[[4.0, 1.0], [1.0, 9.0]]])
kind = constraints.Covariance()
print(kind.to_unconstrained(covariance))
print(kind.from_unconstrained(kind.to_unconstrained(covariance)))
print(kind.n_free(jnp.full((1, 2, 2), jnp.nan), jnp.array([True])))

# %% jaxem.core.constraints: require_whole
fixed = np.array([[1.0, np.nan], [np.nan, np.nan]])  # half of the first component's direction
try:
    constraints.require_whole(np.isnan(fixed), -1, "components.directions")
except ValueError as error:
    print(error)
