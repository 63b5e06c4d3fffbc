"""Expectation-maximization from the beginning: a story with figures, every number computed here.

    python scripts/tutorial.py tutorial        # writes tutorial/tutorial.md and its figures

Needs `pip install 'jaxem[plot]'`. Each chapter is a function: it computes, draws its figure into
the folder, adds what it found to `numbers`, and returns its text.
"""

import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
from matplotlib.figure import Figure

import jaxem
from jaxem import plot
from jaxem.families import Gaussian, GaussianParams

N = 5000
TWO = jaxem.Mixture(Gaussian("full"), n_components=2)
TRUE = {"pi": 0.3, "mu1": 1.0, "sigma1": 2.0, "mu2": 9.0, "sigma2": 3.0}
# Where each of the five stands in the parameters. They hold variances: sigma is the root of its.
PATHS = {
    "pi": "weights[0]",
    "mu1": "components.means[0, 0]",
    "sigma1": "components.covariances[0, 0, 0]",
    "mu2": "components.means[1, 0]",
    "sigma2": "components.covariances[1, 0, 0]",
}


def bells(pi: Any, mu1: Any, sigma1: Any, mu2: Any, sigma2: Any) -> jaxem.MixtureParams:
    """pi N(mu1, sigma1^2) + (1 - pi) N(mu2, sigma2^2), as jaxem's parameters."""
    means, deviations = jnp.stack([mu1, mu2]), jnp.stack([sigma1, sigma2])
    components = GaussianParams(means[:, None], (deviations**2)[:, None, None])
    return jaxem.MixtureParams(jnp.stack([pi, 1 - pi]), components)


def five(params: jaxem.MixtureParams) -> dict[str, float]:
    """The five numbers of two bells, the one on the left first."""
    left, right = np.argsort(np.ravel(params.components.means))
    means, variances = (np.ravel(leaf) for leaf in params.components)
    return {
        "pi": float(params.weights[left]),
        "mu1": float(means[left]),
        "sigma1": float(np.sqrt(variances[left])),
        "mu2": float(means[right]),
        "sigma2": float(np.sqrt(variances[right])),
    }


def the_data() -> tuple[np.ndarray, np.ndarray]:
    """x, and the hidden z that made it."""
    true = bells(*map(jnp.float64, TRUE.values()))
    x, z = jaxem.sample(TWO, true, jax.random.key(1), N)
    return np.asarray(x), np.asarray(z)


def likely_line(folder: Path, numbers: dict[str, Any]) -> str:
    rng = np.random.default_rng(0)
    x = rng.uniform(0.0, 10.0, 50)
    y = 1.7 * x + rng.normal(0.0, 2.0, 50)

    def log_likelihood(a: jax.Array) -> jax.Array:
        return jnp.sum(jax.scipy.stats.norm.logpdf(y, a * x, 2.0))

    grid = jnp.linspace(1.4, 2.0, 601)
    heights = jax.vmap(log_likelihood)(grid)
    slope = float(np.sum(x * y) / np.sum(x * x))
    peak = float(grid[jnp.argmax(heights)])
    numbers["line"] = {"peak": peak, "least_squares": slope}
    figure, axes = _figure(1, 2)
    axes[0].plot(x, y, "o", color="0.4", markersize=4)
    axes[0].plot([0, 10], [0, 10 * peak], color="C1", label=f"y = {peak:.3f} x")
    axes[0].set(xlabel="x", ylabel="y", title="50 points and the likeliest line")
    axes[0].legend()
    curve = jaxem.Slice(grid, heights, jnp.asarray(peak))
    plot.likelihood_slice(curve, "slope a", true=1.7, ax=axes[1])
    axes[1].set_title("How likely each slope makes them")
    _save(figure, folder, "line")
    return f"""
# 1. Likelihood: which line made these points?

Fifty points were made as y = a x plus noise, noise from a bell of standard deviation 2. We pretend
to have forgotten a. For every slope a, ask: *how probable would these very points be?* The
logarithm of that probability (density) is the log-likelihood; because rows are independent it is a
sum, one term for each point. Compute it for many slopes and look at the curve.

![the line and the slice of its likelihood](line.png)

It peaks at a = {peak:.3f}. The least-squares slope, sum(x y) / sum(x²), is {slope:.3f}: the same.
That is no accident. The log of a bell is minus a square, so that with Gaussian noise *maximum
likelihood is least squares*. The truth was 1.7; fifty noisy points cannot tell it better.
"""


def two_bells(folder: Path, numbers: dict[str, Any], x: np.ndarray) -> str:
    true = bells(*map(jnp.float64, TRUE.values()))
    figure, axes = _figure(1, 1, width=7.0)
    plot.density(TWO, true, x, ax=axes[0])
    axes[0].set_title("5000 rows of 0.3 N(1, 2²) + 0.7 N(9, 3²)")
    _save(figure, folder, "two_bells")
    weights = (0.1, 0.3, 0.5, 0.7)
    figure, axes = _figure(1, len(weights), width=12.0)
    plot.mixing_weights(TWO, true, weights, axes=axes)
    _save(figure, folder, "mixing_weights")
    numbers["log_likelihood_of_truth"] = float(jaxem.log_likelihood(TWO, true, x))
    return f"""
# 2. A hidden cause: two bells

Now each row has a cause that nobody wrote down. A coin z is thrown: in 30 % of cases z = 1 and the
row comes from a bell at 1 with standard deviation 2, else z = 2 and it comes from a bell at 9 with
standard deviation 3. We see x, never z. The density of x is the weighted sum of the two bells:

    p(x) = pi N(x; mu1, sigma1²) + (1 - pi) N(x; mu2, sigma2²)

![histogram and density](two_bells.png)

(jaxem counts from 0: the left bell, with mu1 and sigma1, is component 0 in the figures.)

pi moves height from one bell to the other and leaves their places and widths alone:

![the density for several mixing weights](mixing_weights.png)

The log-likelihood of the true parameters on these {N} rows is
{numbers["log_likelihood_of_truth"]:.2f}.
"""


def slices(folder: Path, numbers: dict[str, Any], x: np.ndarray) -> str:
    true = {name: jnp.float64(value) for name, value in TRUE.items()}
    figure, axes = _figure(1, 5, width=16.0)
    found = {}
    for ax, (name, path) in zip(axes, PATHS.items(), strict=True):
        error = standard_error(name, x)
        sigma = name.startswith("sigma")
        grid = np.linspace(TRUE[name] - 6 * error, TRUE[name] + 6 * error, 241)
        cut = jaxem.likelihood_slice(TWO, bells(**true), x, path, grid**2 if sigma else grid)
        if sigma:
            cut = jaxem.Slice(np.sqrt(cut.grid), cut.log_likelihood, np.sqrt(cut.argmax))
        plot.likelihood_slice(cut, name, true=TRUE[name], ax=ax)
        found[name] = {"peak": float(cut.argmax), "standard_error": error}
    _save(figure, folder, "slices")
    numbers["slices"] = found
    rows = "\n".join(
        f"| {name} | {TRUE[name]:g} | {f['peak']:.3f} | {f['standard_error']:.3f} | "
        f"{abs(f['peak'] - TRUE[name]) / f['standard_error']:.1f} |"
        for name, f in found.items()
    )
    return f"""
# 3. Five slices

There are five numbers to find. Hold four of them at the truth and walk along the fifth: a *slice*
of the likelihood.

![slices over the five parameters](slices.png)

| parameter | truth | peak of its slice | standard error | distance in standard errors |
|---|---|---|---|---|
{rows}

The sharper the peak, the more the data says: a standard error is one over the root of the curvature
there. (This is the error with the other four known; with all five unknown each is larger.) Every
peak is within three of them of the truth.
"""


def standard_error(name: str, x: np.ndarray) -> float:
    """1 / sqrt(-d²l / d parameter²), the others held at the truth."""
    true = {key: jnp.float64(value) for key, value in TRUE.items()}

    def along(value: jax.Array) -> jax.Array:
        return jaxem.log_likelihood(TWO, bells(**{**true, name: value}), x)

    return float(1 / jnp.sqrt(-jax.grad(jax.grad(along))(true[name])))


def what_z_buys(numbers: dict[str, Any], x: np.ndarray, z: np.ndarray) -> str:
    groups = [np.ravel(x[z == j]) for j in (0, 1)]
    known = {
        "pi": len(groups[0]) / len(x),
        "mu1": groups[0].mean(),
        "sigma1": groups[0].std(),
        "mu2": groups[1].mean(),
        "sigma2": groups[1].std(),
    }
    closed = bells(*map(jnp.float64, known.values()))
    gradient = jax.grad(lambda p: jaxem.complete_log_likelihood(TWO, p, x, z))(closed)
    numbers["z_known"] = {name: float(value) for name, value in known.items()}
    numbers["z_known_gradient"] = float(
        max(jnp.abs(leaf).max() for leaf in jax.tree.leaves(gradient.components))
    )
    return f"""
# 4. Why not just solve it? And what z would buy

Set the derivative of the log-likelihood to zero and solve? Each row contributes

    log( pi N(x; mu1, sigma1²) + (1 - pi) N(x; mu2, sigma2²) )

and the sum stands *inside* the logarithm. It does not come apart: the equation for mu1 holds all
four other unknowns, through the share that each bell has in each row. There is no formula.

If somebody told us z, the sum would be gone: each row belongs to one bell, and its term is log pi +
log N(x; mu1, sigma1²), or the same with the other bell. That is the *complete-data* log-likelihood,
and its maximum is what one would do anyway: count, average, take the spread, in each group by
itself. On our rows that gives pi = {known["pi"]:.3f}, mu1 = {known["mu1"]:.3f}, sigma1 =
{known["sigma1"]:.3f}, mu2 = {known["mu2"]:.3f}, sigma2 = {known["sigma2"]:.3f}, in one step. (The
gradient there is {numbers["z_known_gradient"]:.0e}: nothing is left to climb.)

So: with the parameters we could guess z, and with z we could compute the parameters. EM takes
turns.
"""


def climb(folder: Path, numbers: dict[str, Any], x: np.ndarray) -> str:
    rows = np.random.default_rng(3).choice(N, 2, replace=False)
    spread = jnp.float64(x.std())
    first = bells(jnp.float64(0.5), *[v for row in rows for v in (jnp.float64(x[row, 0]), spread)])
    trace = jaxem.em_trace(TWO, first, x, 100)
    result = jaxem.em(TWO, first, x, tol=1e-9)
    numbers["em"] = five(result.params)
    numbers["em_start"] = [float(x[row, 0]) for row in rows]
    numbers["em_log_likelihood"] = float(result.log_likelihood)
    numbers["em_rises"] = float(jnp.diff(trace.log_likelihood).min())
    numbers["em_converged"] = bool(result.converged)
    order = np.argsort(np.ravel(result.params.components.means))
    true = bells(*map(jnp.float64, TRUE.values()))
    true = jax.tree.map(lambda leaf: leaf[np.argsort(order)], true)
    figure, axes = _figure(2, 2, width=10.0, height=6.5)
    plot.trace(TWO, trace, true=true, axes=axes.reshape(2, 2))
    _save(figure, folder, "trace")
    table = "\n".join(
        f"| {name} | {TRUE[name]:g} | {numbers['z_known'][name]:.3f} | {value:.3f} |"
        for name, value in numbers["em"].items()
    )
    gap = numbers["em_log_likelihood"] - numbers["log_likelihood_of_truth"]
    return f"""
# 5. EM: taking turns

* **E-step.** With the parameters of now, compute for every row the probability that each bell made
  it, its *responsibility*: r = pi N(x; mu1, sigma1²) / p(x). A guess of z, in shares.
* **M-step.** Count, average and take the spread as if z were known, each row counted by its share.

We start from nothing: two random rows as the means ({numbers["em_start"][0]:.2f} and
{numbers["em_start"][1]:.2f}), the overall standard deviation for both, pi = 0.5.

![every parameter against the iteration](trace.png)

The log-likelihood never falls: that is a theorem (Dempster, Laird and Rubin 1977), and the least
rise seen here is {numbers["em_rises"]:.1e}. It ends at {numbers["em_log_likelihood"]:.2f},
{gap:.2f} *above* that of the truth, as a maximum must be: it fits these rows, not the machine that
made them.

| parameter | truth | if z were known | EM |
|---|---|---|---|
{table}
"""


def responsibilities(folder: Path, numbers: dict[str, Any], x: np.ndarray) -> str:
    params = bells(*map(jnp.float64, numbers["em"].values()))
    figure, axes = _figure(1, 1, width=7.0)
    plot.responsibilities(TWO, params, x, ax=axes[0])
    _save(figure, folder, "responsibilities")
    places = {"below": -2.0, "above": 12.0}
    share = {
        name: float(jaxem.predict_proba(TWO, params, [[at]])[0, 1]) for name, at in places.items()
    }
    grid = np.linspace(1.0, 9.0, 8001)
    right = np.asarray(jaxem.predict_proba(TWO, params, grid))[:, 1]
    border = float(grid[np.argmin(np.abs(right - 0.5))])
    far = float(jaxem.predict_proba(TWO, params, [[-25.0]])[0, 1])
    numbers["responsibilities"] = {**share, "border": border, "far": far}
    return f"""
# 6. What a row is told about its cause

![responsibilities against x](responsibilities.png)

The share of the right bell is {share["below"]:.3f} at x = -2 and {share["above"]:.3f} at x = 12.
Between the bells it climbs, and at x = {border:.2f} it is one half: such a row could be either, and
EM says so instead of choosing.

(A trap: far out on the left, at x = -25, the share of the *right* bell is {far:.2f} again. It is
the wider of the two, and in the tails the wider bell wins. No row is out there; a model asked far
away from its data answers all the same.)
"""


def local_optimum(folder: Path, numbers: dict[str, Any]) -> str:
    three = jaxem.Mixture(Gaussian("tied"), n_components=3)
    rng = np.random.default_rng(5)
    x = np.concatenate([rng.normal(mean, 1.0, 300) for mean in (0.0, 10.0, 14.0)])[:, None]

    def start(means: list[float]) -> jaxem.MixtureParams:
        components = GaussianParams(jnp.array(means)[:, None], jnp.eye(1))
        return jaxem.MixtureParams(jnp.ones(3) / 3, components)

    good = jaxem.em(three, start([1.0, 9.0, 15.0]), x, tol=1e-9, max_iter=5000)
    stuck = jaxem.em(three, start([-1.0, 1.0, 12.0]), x, tol=1e-9, max_iter=5000)
    many = jaxem.fit(three, x, key=jax.random.key(0), n_init=50, init="random_from_data")
    figure, axes = _figure(1, 3, width=15.0)
    for ax, fit, title in ((axes[0], good, "a good start"), (axes[1], stuck, "a bad start")):
        plot.density(three, fit.params, x, ax=ax)
        ax.set_title(f"{title}: log-likelihood {float(fit.log_likelihood):.1f}")
        ax.set_ylim(top=0.25)  # room for the legend over the peaks
    plot.starts(many, ax=axes[2])
    axes[2].set_title("fifty random starts")
    _save(figure, folder, "local_optimum")
    numbers["local"] = {
        "good": float(good.log_likelihood),
        "stuck": float(stuck.log_likelihood),
        "stuck_converged": bool(stuck.converged),
        "many": float(many.log_likelihood),
        "n_best": int(many.restarts.n_best),
    }
    local = numbers["local"]
    return f"""
# 7. The wrong hill

EM climbs, and climbing ends on *a* top, which need not be the highest. Three groups, at 0, 10 and
14, each of standard deviation 1; to keep it simple, the three bells must share one width (tied
covariances). Started with one mean near each, EM ends at a log-likelihood of {local["good"]:.1f}.
Started with two means in the left group and one between the others, it ends at
{local["stuck"]:.1f}, and there it stays: two bells share one group, one bell bridges two, and the
common width has grown to fit that. Every small change makes it worse. It has converged, and it is
wrong.

![a good start, a bad start, fifty starts](local_optimum.png)

No step can tell. What helps is to start often, from different rows, and keep the best: of fifty
random starts {local["n_best"]} end on the highest top found, at {local["many"]:.1f}. `jaxem.fit`
does that for you, all starts in one compiled call, and shows what became of each.
"""


def hard_or_soft(numbers: dict[str, Any], x: np.ndarray) -> str:
    params = bells(*map(jnp.float64, numbers["em"].values()))
    for _ in range(200):
        z = np.asarray(jaxem.predict(TWO, params, x))
        groups = [np.ravel(x[z == j]) for j in (0, 1)]
        moments = [jnp.float64(v) for group in groups for v in (group.mean(), group.std())]
        new = bells(jnp.float64(np.mean(z == 0)), *moments)
        if np.array_equal(new.weights, params.weights):
            break
        params = new
    numbers["hard"] = five(params)
    table = "\n".join(
        f"| {name} | {TRUE[name]:g} | {numbers['em'][name]:.3f} | {value:.3f} |"
        for name, value in numbers["hard"].items()
    )
    return f"""
# 8. Hard or soft?

Why shares? One could give each row wholly to its likeliest bell, compute the two groups' shares,
means and spreads, and repeat; k-means is of this kind. Where the bells overlap it goes wrong,
and more rows do not help: each group is cut off at the border, and gets the other's tail.

| parameter | truth | soft: EM | hard |
|---|---|---|---|
{table}
"""


def jelly_beans(folder: Path, numbers: dict[str, Any]) -> str:
    names = ("length [mm]", "width [mm]", "weight [g]")
    model = jaxem.Mixture(Gaussian("full"), n_components=3)
    means = np.array([[18.0, 10.0, 1.10], [21.0, 11.0, 1.45], [19.0, 13.0, 1.70]])
    spread = np.array([[0.9, 0.5, 0.07], [1.2, 0.6, 0.10], [0.8, 0.9, 0.12]])
    link = np.array([[1.0, 0.3, 0.7], [0.3, 1.0, 0.6], [0.7, 0.6, 1.0]])
    covariances = spread[:, :, None] * link * spread[:, None]
    true = jaxem.MixtureParams(np.array([0.5, 0.3, 0.2]), GaussianParams(means, covariances))
    x, brand = (np.asarray(a) for a in jaxem.sample(model, true, jax.random.key(4), 1500))
    result = jaxem.fit(model, x, key=jax.random.key(0), n_init=30)
    guess = np.asarray(jaxem.predict(model, result.params, x))
    table = np.array([[np.sum((brand == b) & (guess == g)) for g in range(3)] for b in range(3)])
    match = np.argmax(table, axis=1)
    known = jaxem.em(model, true, x, labels=brand, max_iter=1, tol=0)
    figure, axes = _figure(1, 2, width=12.0)
    plot.clusters(model, result.params, x, columns=(0, 1), names=names, ax=axes[0])
    plot.clusters(model, result.params, x, columns=(0, 2), names=names, ax=axes[1])
    _save(figure, folder, "jelly_beans")
    numbers["beans"] = {
        "match": match.tolist(),
        "means": np.asarray(result.params.components.means)[match],
        "known_means": np.asarray(known.params.components.means),
        "group_means": np.stack([x[brand == b].mean(0) for b in range(3)]),
        "group_covariances": np.stack([np.cov(x[brand == b].T, bias=True) for b in range(3)]),
        "known_covariances": np.asarray(known.params.components.covariances),
        "true_means": means,
        "share_right": float(table[range(3), match].sum() / len(x)),
    }
    beans = numbers["beans"]
    rows = "\n".join(
        f"| {b} | {_vector(means[b])} | {_vector(beans['known_means'][b])} | "
        f"{_vector(beans['means'][b])} | {match[b]} |"
        for b in range(3)
    )
    return f"""
# 9. The bin of jelly beans

Three brands of jelly beans fell into one bin. For 1500 beans we have length, width and weight; each
brand has its own means and its own covariances (long beans are heavy beans). Nothing changes but
that x is a vector and sigma² a matrix.

![beans, length against width and against weight](jelly_beans.png)

| brand | true means | brand known: closed form | brand hidden: EM | which component |
|---|---|---|---|---|
{rows}

When the brand is on the bean there is nothing to iterate: one M-step, the averages of each brand.
When it is hidden, EM finds the brands all the same, and {100 * beans["share_right"]:.1f} % of the
beans go to their own. What it cannot find is their *names*: the components come in any order, and
the likelihood is the same for all orders. Match them by what they are, never by their number.
"""


def the_exact_m_step(numbers: dict[str, Any], x: np.ndarray) -> str:
    old = bells(*map(jnp.float64, (0.5, 0.0, 4.0, 6.0, 4.0)))
    statistics, before = jaxem.e_step(TWO, old, x)
    r = np.asarray(jaxem.predict_proba(TWO, old, x))
    new = jaxem.m_step(TWO, old, statistics)

    def expected(params: jaxem.MixtureParams) -> jax.Array:
        """E[log p(x, z; params) | x; old]"""
        means, covariances = params.components
        deviations = jnp.sqrt(covariances[:, 0, 0])
        log_density = jax.scipy.stats.norm.logpdf(x, means[:, 0][None], deviations[None])
        return jnp.sum(r * (jnp.log(params.weights)[None] + log_density))

    stale = stale_step(old, x)
    slope = {
        name: float(max(jnp.abs(g).max() for g in jax.grad(expected)(params).components))
        for name, params in (("exact", new), ("stale", stale))
    }
    numbers["m_step"] = {
        **slope,
        "expected_exact": float(expected(new)),
        "expected_stale": float(expected(stale)),
        "variance_exact": float(new.components.covariances[0, 0, 0]),
        "variance_stale": float(stale.components.covariances[0, 0, 0]),
        "likelihood_exact": float(jaxem.log_likelihood(TWO, new, x)),
        "likelihood_stale": float(jaxem.log_likelihood(TWO, stale, x)),
    }
    m = numbers["m_step"]
    return f"""
# 10. A common mistake

The M-step maximises the *expected* complete-data log-likelihood. Its variances are measured around
the *new* means. Code that updates the means and then takes the squares around the old ones (they
were at hand from the E-step) is not that maximum. From pi = 0.5, means 0 and 6, standard
deviations 4:

| variance of the left bell | value | expected log-likelihood | its steepest slope |
|---|---|---|---|
| around the new mean | {m["variance_exact"]:.4f} | {m["expected_exact"]:.3f} | {m["exact"]:.0e} |
| around the old mean | {m["variance_stale"]:.4f} | {m["expected_stale"]:.3f} | {m["stale"]:.1f} |

A gradient of zero is what "maximum" means. The stale variance is too large by the square of the
step of the mean. After this one step the log-likelihood is {m["likelihood_exact"]:.1f} with the
exact M-step and {m["likelihood_stale"]:.1f} with the stale one: it still climbs from
{float(before):.1f}, which is why the mistake is hard to see. Near the end the means hardly move,
and both come to the same place.
"""


def stale_step(params: jaxem.MixtureParams, x: np.ndarray) -> jaxem.MixtureParams:
    """The mistake: an iteration that takes the variances around the means before it."""
    r = np.asarray(jaxem.predict_proba(TWO, params, x))
    count, old = r.sum(axis=0), np.ravel(params.components.means)
    means = np.sum(r * x, axis=0) / count
    variances = np.sum(r * (x - old) ** 2, axis=0) / count
    components = GaussianParams(jnp.asarray(means)[:, None], jnp.asarray(variances)[:, None, None])
    return jaxem.MixtureParams(jnp.asarray(count / len(x)), components)


def _figure(rows: int, columns: int, width: float = 10.0, height: float = 4.0) -> Any:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, np.ravel(figure.subplots(rows, columns, squeeze=False))


def _save(figure: Figure, folder: Path, name: str) -> None:
    figure.savefig(folder / f"{name}.png", dpi=110)


def _vector(values: np.ndarray) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


def tell(folder: Path) -> dict[str, Any]:
    """Write the story and its figures into the folder; return every number in it."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers: dict[str, Any] = {}
    x, z = the_data()
    chapters = [
        likely_line(folder, numbers),
        two_bells(folder, numbers, x),
        slices(folder, numbers, x),
        what_z_buys(numbers, x, z),
        climb(folder, numbers, x),
        responsibilities(folder, numbers, x),
        local_optimum(folder, numbers),
        hard_or_soft(numbers, x),
        jelly_beans(folder, numbers),
        the_exact_m_step(numbers, x),
    ]
    (folder / "tutorial.md").write_text("\n".join(chapters).lstrip(), encoding="utf-8")
    return numbers


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print("usage: python scripts/tutorial.py FOLDER", file=sys.stderr)
        return 2
    jax.config.update("jax_enable_x64", True)
    matplotlib.use("agg")
    folder = Path(arguments[0])
    tell(folder)
    print((folder / "tutorial.md").read_text(encoding="utf-8"))
    print(f"written: {folder / 'tutorial.md'}, with its figures")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
