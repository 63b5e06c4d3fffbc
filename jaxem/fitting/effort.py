"""How much the compiler does: a small table takes longer to compile for than to fit.

On a CPU, programs of small data are compiled without the passes that cost more than they gain
there; measured on 150 x 4, k = 3, 100 starts: half of the processor time of a first fit, and the
same time for a second. Inside a person's own `jit` nothing changes: options of the compiler are
those of the outermost program.
"""

from importlib.metadata import version
from typing import Any

import jax

from jaxem.core import checks
from jaxem.core.contracts import Rows
from jaxem.fitting import sizes
from jaxem.fitting.execution import Execution

_LESS: dict[str, Any] = {"xla_llvm_disable_expensive_passes": True}
if tuple(map(int, version("jaxlib").split(".")[:2])) < (0, 12):
    _LESS["xla_cpu_use_fusion_emitters"] = False  # later ones have no others, and refuse the name
_LEAST = _LESS | {"xla_backend_optimization_level": 0}


class Program:
    """A compiled function, and the same compiled with less effort.

    once: it runs once a fit, and takes no time whatever it is compiled to.
    """

    def __init__(self, compiled: Any, static: tuple[str, ...], once: bool = False) -> None:
        self.full = compiled
        options = _LEAST if once else _LESS
        self.light = jax.jit(compiled.__wrapped__, static_argnames=static, compiler_options=options)

    def __call__(self, execution: Execution, rows: Rows, *args: Any) -> Any:
        light = sizes.is_small(rows) and checks.is_concrete(rows, args)
        return (self.light if light else self.full)(execution, rows, *args)
