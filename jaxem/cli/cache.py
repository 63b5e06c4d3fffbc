"""Compiled programs kept between commands: a second fit of the same shape starts at once.

They lie in the user's folder of caches, which on Linux is $XDG_CACHE_HOME/jaxem or ~/.cache/jaxem,
and may be deleted at any time.
JAX_ENABLE_COMPILATION_CACHE=false switches this off, JAX_COMPILATION_CACHE_DIR names another place.
"""

import os
import warnings
from typing import Any

import jax
import platformdirs

from jaxem.core.files import remove_oldest
from jaxem.fitting.stored import processor

_SECONDS = 0.1  # what takes longer to compile is kept
_MOST = 64 << 20  # bytes of JAX's own files, which are about 50 kB each


def use() -> None:
    """Switch it on for this process; a folder that cannot be written to is done without."""
    config: Any = jax.config  # its stub does not know the options
    if config.jax_compilation_cache_dir:
        return
    try:
        folder = platformdirs.user_cache_path("jaxem") / processor()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        remove_oldest(folder, _MOST)
    except OSError:
        return
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return
    warnings.filterwarnings("ignore", message="Error (read|writ)ing persistent compilation cache")
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", _SECONDS)
