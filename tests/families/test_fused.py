"""The E-step's products made in registers: on a CPU Pallas interprets the kernels."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export, lax
from jax.experimental import pallas as pl
from jax.sharding import PartitionSpec

import jaxem
from jaxem import families
from jaxem.core.numerics import einsum
from jaxem.families.gaussian import fused, kernel_trial, pair_kernels, pairs
from jaxem.families.gaussian.full import Full
from laws.compare import close

N, D, K = 5000, 16, 3
NEAR = {"rtol": 0.0, "atol": 3e-6}  # of numbers of at most about 1, in float32
FULL = Full()
CARD = jax.sharding.AbstractDevice("NVIDIA H100", 132, "gpu")
lowers = pytest.mark.filterwarnings("ignore:The Pallas Triton backend is deprecated")


@pytest.fixture
def as_if_on_a_gpu(monkeypatch):
    """Programs for a CPU that take the branches of a GPU, its kernels interpreted."""

    def branch(*args, default, cuda=None, **others):
        return (cuda or default)(*args)

    def force():
        monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
        monkeypatch.setattr(lax, "platform_dependent", branch)
        monkeypatch.setattr(pl, "pallas_call", partial(pl.pallas_call, interpret=True))
        jax.clear_caches()

    yield force
    jax.clear_caches()
    kernel_trial.passed.cache_clear()


def made(d, k, n):
    """-> (rows, coefficients, weights of which some are 0, products in float64)."""
    rng, p = np.random.default_rng(d), pairs.partners(d).size
    y = rng.normal(size=(n, d)).astype(np.float32)
    c, w = rng.normal(size=(k, p)).astype(np.float32), rng.random((k, n)).astype(np.float32)
    w[:, rng.random(n) < 0.3] = 0
    i, j = np.broadcast_to(np.arange(d), pairs.partners(d).shape).ravel(), pairs.partners(d).ravel()
    return y, c, w, (y.astype(float)[:, i] * y[:, j]).T


def near(found, expected):
    assert found.dtype == np.float32
    scale = np.max(np.abs(expected))
    close(np.asarray(found, float) / scale, expected / scale, **NEAR)


@pytest.mark.parametrize(("d", "k", "n"), [(1, 1, 512), (5, 3, 777), (31, 17, 1500), (64, 32, 520)])
def test_kernels_give_the_products_of_columns(d, k, n, monkeypatch):
    """Of odd sizes, with weights of 0."""
    monkeypatch.setattr(pl, "pallas_call", partial(pl.pallas_call, interpret=True))
    y, c, w, products = made(d, k, n)
    near(pair_kernels.quadratic_forms(jnp.asarray(c), jnp.asarray(y.T)), c @ products)
    found = pair_kernels.second_moments(jnp.asarray(w), jnp.asarray(y), len(products))
    near(found, w @ products.T)


@pytest.mark.slow
def test_a_step_on_a_gpu_is_that_of_the_written_products(as_if_on_a_gpu):
    x = np.random.default_rng(0).normal(size=(N, D)).astype(np.float32) + 3
    model = jaxem.Mixture(families.Gaussian("full"), K)
    x[: N // 2] += 2
    start = jaxem.fit(model, x, key=jax.random.key(0), n_init=1, max_iter=2).params
    expected = jaxem.e_step(model, start, x, sample_weight=np.arange(N) % 3)
    as_if_on_a_gpu()
    x[np.arange(N) % 3 == 0] = 1e30
    assert fused.suited(model.family.covariance, x, K) == fused.FusedFull()
    found = jaxem.e_step(model, start, x, sample_weight=np.arange(N) % 3)
    for a, b in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
        scale = np.max(np.abs(b))
        close(np.asarray(a / scale, float), np.asarray(b / scale, float), rtol=0, atol=2e-5)


@pytest.mark.slow
def test_starts_side_by_side_and_derivatives(as_if_on_a_gpu):
    """Two axes of vmap: starts of each of several data sets."""
    y, c, w, products = made(4, 2, 512)
    as_if_on_a_gpu()

    def both(scale):
        rows = jnp.asarray(y) * scale
        forms = fused.quadratic_forms(jnp.asarray(c), rows)
        return jnp.sum(forms[:, 0]), fused.second_moments(jnp.asarray(w), rows)[0, 0]

    scales = jnp.asarray([[1.0, 2.0], [0.5, 3.0]], jnp.float32)
    found = jax.vmap(jax.vmap(both))(scales)
    expected = np.sum((c @ products)[:, 0]), (w @ products.T)[0, 0]
    for own, one in zip(found, expected, strict=True):
        close(np.asarray(own, float), one * np.asarray(scales, float) ** 2, rtol=1e-5)
    for way in (jax.jacrev, jax.jacfwd):
        for own, one in zip(way(both)(scales[0, 1]), expected, strict=True):
            close(np.asarray(own, float), 2 * one * 2.0, rtol=1e-5)


def lowered(function, *shapes):
    """The text of its program for a GPU that is not here."""
    args = [jax.ShapeDtypeStruct(shape, np.float32) for shape in shapes]
    traced = jax.jit(function).trace(*args)
    mesh = jax.sharding.AbstractMesh((), (), abstract_device=CARD)
    with jax.sharding.use_abstract_mesh(mesh):
        return traced.lower(lowering_platforms=("cuda",)).as_text()


@lowers
def test_programs_for_a_gpu_have_the_kernels_and_no_products():
    def both(c, y):
        shares = jnp.exp(fused.quadratic_forms(c, y))
        return fused.second_moments(shares, y)

    n, d, k = 20_000, 30, 30
    p = pairs.partners(d).size
    text = lowered(both, (k, p), (n, d))
    assert text.count("gpu.triton") == 2 and f"{p}x{n}x" not in text
    several = lowered(jax.vmap(both, in_axes=(0, None)), (4, k, p), (n, d))
    assert several.count("gpu.triton") == 2


@lowers
def test_rows_over_several_gpus():
    """`check_vma` proves that what each device has of its own is added up."""

    def local(c, y):
        c = lax.pcast(c, "rows", to="varying")
        shares = fused.quadratic_forms(c, y)
        return lax.psum(fused.second_moments(shares, y), "rows")

    mesh = jax.sharding.AbstractMesh((2,), ("rows",), abstract_device=CARD)
    here, spread = PartitionSpec(), PartitionSpec("rows")
    over = jax.shard_map(local, mesh=mesh, in_specs=(here, spread), out_specs=here, check_vma=True)
    assert lowered(over, (K, D * 9), (2 * N, D)).count("gpu.triton") == 2


@lowers
def test_it_is_exported_for_a_gpu():
    """For GPUs alone, and unchecked: JAX does not promise to read it later."""
    args = [jax.ShapeDtypeStruct(shape, np.float32) for shape in ((K, D * 9), (N, D))]
    function = jax.jit(fused.quadratic_forms)
    unchecked = export.DisabledSafetyCheck.custom_call("__gpu$xla.gpu.triton")
    with jax.sharding.use_abstract_mesh(jax.sharding.AbstractMesh((), (), abstract_device=CARD)):
        export_it = export.export(function, platforms=("cuda",), disabled_checks=[unchecked])
        assert "gpu.triton" in export_it(*args).mlir_module()


# ---- where it is taken


def test_where_it_is_taken(monkeypatch):
    def taken(n=N, d=D, k=K, dtype=np.float32, of=FULL):
        return isinstance(fused.suited(of, np.zeros((n, d), dtype), k), fused.FusedFull)

    assert not taken()
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert taken()
    assert not (taken(n=100) or taken(d=4) or taken(k=200) or taken(dtype=np.float64))
    assert not (
        taken(of=families.Gaussian("VEV").covariance)
        or taken(of=families.Gaussian("diag").covariance)
    )
    monkeypatch.setenv(fused.SWITCH, "0")
    assert not taken()


@pytest.mark.parametrize(("error", "said"), [(RuntimeError("smem"), "smem"), (None, "wrong here")])
def test_a_card_on_which_it_fails_takes_the_products(error, said, as_if_on_a_gpu, monkeypatch):
    as_if_on_a_gpu()
    gpu = type("Device", (), {"platform": "gpu"})
    monkeypatch.setattr(jax, "local_devices", lambda: [gpu])
    assert kernel_trial.passed(2, 4)
    kernel_trial.passed.cache_clear()

    def failing(a, b):
        if error is not None:
            raise error
        return einsum("kp,pn->kn", a, pairs.products(b)) * 1.001

    monkeypatch.setattr(pair_kernels, "quadratic_forms", failing)
    with pytest.warns(UserWarning, match=said):
        assert not kernel_trial.passed(2, 4)
