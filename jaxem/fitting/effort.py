"""How much the compiler does: a small table takes longer to compile for than to fit.

On a CPU, programs of small data are compiled without the passes that cost more than they gain there
(`python -m benchmarks --suite latency`); later jaxlibs have fewer such options. Inside a person's
own `jit` nothing changes: options of the compiler are those of the outermost program.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax
from jaxlib.version import __version__ as jaxlib_version

from jaxem.core import checks, placement
from jaxem.core.contracts import Rows
from jaxem.fitting import sizes, stored

_JAXLIB = tuple(map(int, jaxlib_version.split(".")[:2]))
_LESS: dict[str, Any] = {}  # an option that a jaxlib does not know is an error: these are tested
if _JAXLIB < (0, 13):
    _LESS["xla_llvm_disable_expensive_passes"] = True
if _JAXLIB < (0, 11):
    _LESS["xla_cpu_use_fusion_emitters"] = False  # later ones have no others
_LEAST = _LESS | ({"xla_backend_optimization_level": 0} if _LESS else {})


class Program:
    """A compiled function, and the same compiled with less effort, for small data."""

    def __init__(self, function: Callable[..., Any], static: tuple[str, ...], often: bool) -> None:
        functools.update_wrapper(self, function)
        options = _LESS if often else _LEAST
        self.full: Any = jax.jit(function, static_argnames=static)
        self.light: Any = jax.jit(function, static_argnames=static, compiler_options=options)
        self.told = f"{function.__module__}.{getattr(function, '__qualname__', '')}"
        names = inspect.signature(function).parameters
        self.static = frozenset(i for i, name in enumerate(names) if name in static)

    def __call__(self, *args: Any) -> Any:
        if checks.is_tracing() or not checks.is_concrete(args):
            return self.full(*args)  # options are for the outermost program alone
        small = _is_small(args)
        form = self.light if small else self.full
        if stored.folder() is not None:
            found = stored.program(form, f"{self.told} {small}", args, self.static)
            if found is not None:
                return found(*(own for i, own in enumerate(args) if i not in self.static))
        return form(*args)

    def lower(self, *args: Any) -> Any:
        return self.full.lower(*args)


def program(*static: str, often: bool = False) -> Callable[[Callable[..., Any]], Program]:
    """`jax.jit` of a function of rows, or of few numbers. static: names of its static arguments.

    often: what it compiles to runs many times a call, and is worth more of the compiler.
    """
    return lambda function: Program(function, static, often)


def _is_small(args: tuple[Any, ...]) -> bool:
    found = [rows for rows in (getattr(of, "rows", of) for of in args) if isinstance(rows, Rows)]
    if found:
        return all(map(sizes.is_small, found))
    arrays = [leaf for leaf in jax.tree.leaves(args) if isinstance(leaf, jax.Array)]
    return all(map(placement.lies_on_host, arrays)) and sizes.are_few(arrays) and sizes.on_cpu()
