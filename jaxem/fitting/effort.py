"""How much the compiler does: a small table takes longer to compile for than to fit.

On a CPU, programs of small data are compiled without the passes that cost more than they gain
there: of 150 x 4, k = 3, 100 starts a first fit takes 42 % less processor time with jaxlib 0.10,
less of that with later ones, which have fewer such options; a second fit takes the same. Inside a
person's own `jit` nothing changes: options of the compiler are those of the outermost program.
"""

from importlib.metadata import version
from typing import Any

import jax

from jaxem.core import checks
from jaxem.core.contracts import Rows
from jaxem.fitting import sizes
from jaxem.fitting.execution import Execution

_JAXLIB = tuple(map(int, version("jaxlib").split(".")[:2]))
_LESS: dict[str, Any] = {}  # an option that a jaxlib does not know is an error: these are tested
if _JAXLIB < (0, 13):
    _LESS["xla_llvm_disable_expensive_passes"] = True
if _JAXLIB < (0, 11):
    _LESS["xla_cpu_use_fusion_emitters"] = False  # later ones have no others
_LEAST = _LESS | ({"xla_backend_optimization_level": 0} if _LESS else {})


class Program:
    """A compiled function, and the same compiled with less effort.

    once: it runs once a start, and takes no time whatever it is compiled to.
    """

    def __init__(self, compiled: Any, static: tuple[str, ...], once: bool = False) -> None:
        self.full = compiled
        options = _LEAST if once else _LESS
        self.light = jax.jit(compiled.__wrapped__, static_argnames=static, compiler_options=options)

    def __call__(self, execution: Execution, rows: Rows, *args: Any) -> Any:
        return self.form(rows, args)(execution, rows, *args)

    def form(self, rows: Rows, values: Any) -> Any:
        """The one for such rows, and whatever else it is given."""
        light = sizes.is_small(rows) and checks.is_concrete(rows, values)
        return self.light if light else self.full
