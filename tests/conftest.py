"""Everything runs in float64, under JAX's strict rules, with shapes checked at every call."""

import os
import zlib
from pathlib import Path

import jax
import jaxlib
import jaxtyping
import pytest

# Most of the time of the tests goes into compiling: with little optimisation it is a third less,
# and a third of that with the emitters of old, which jaxlib has before 0.11 (an unknown flag ends
# the process). The flags are read when the first program is compiled. JAXEM_TEST_COMPILER=default
# leaves them out.
_FAST = (
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true "
    "--xla_cpu_parallel_codegen_split_count=1 --xla_cpu_experimental_ynn_fusion_type="
)
if tuple(map(int, jaxlib.__version__.split(".")[:2])) < (0, 11):
    _FAST += " --xla_cpu_use_fusion_emitters=false"
_FOUR = "--xla_force_host_platform_device_count=4"  # for tests of data on the second, and on all
if os.environ.get("JAXEM_TEST_COMPILER") == "default":
    _FAST = ""
os.environ["XLA_FLAGS"] = f"{_FAST} {_FOUR} {os.environ.get('XLA_FLAGS', '')}"
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

jaxtyping.install_import_hook("jaxem", "beartype.beartype")


_MAPS = 25_000  # a file of tests may come to 20,000 more
_LONGEST = ("test_readme.py", "test_suite.py")  # in one test or fixture


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="run the tests marked slow too")


def _case_of(item):
    return item.callspec.id if hasattr(item, "callspec") else None


def _is_left_out(item):
    """`@pytest.mark.slow`, and of `@pytest.mark.slow(but=("a",))` all but the case "a"."""
    marks, case = item.iter_markers("slow"), _case_of(item)
    return any(case not in slow.kwargs.get("but", ()) for slow in marks)


def pytest_collection_modifyitems(config, items):
    """First what takes longest: a worker that came to it last would end long after the others."""
    items.sort(key=lambda item: item.path.name not in _LONGEST)
    if not config.getoption("--slow"):
        left_out = [item for item in items if _is_left_out(item)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not _is_left_out(item)]


@pytest.fixture(scope="module", autouse=True)
def compiled_programs():
    """Let go of them when there are many: each holds memory maps, of which a process has 65530."""
    yield
    maps = Path("/proc/self/maps")
    if not maps.exists() or maps.read_bytes().count(b"\n") > _MAPS:
        jax.clear_caches()


@pytest.fixture
def getkey(request):
    """A source of fresh keys, seeded by the test's name; the seed is shown when a test fails."""
    seed = zlib.crc32(request.node.nodeid.encode())
    print(f"getkey seed: {seed}")
    root, count = jax.random.key(seed), 0

    def next_key():
        nonlocal count
        count += 1
        return jax.random.fold_in(root, count)

    return next_key
