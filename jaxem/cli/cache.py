"""Compiled programs kept between commands: a second fit of the same shape starts at once.

They lie in the user's folder of caches, which on Linux is $XDG_CACHE_HOME/jaxem or ~/.cache/jaxem,
and may be deleted at any time.
JAX_ENABLE_COMPILATION_CACHE=false switches this off, JAX_COMPILATION_CACHE_DIR names another place.
"""

import os
import shutil
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import jax
import platformdirs

from jaxem.core.files import remove_oldest
from jaxem.fitting import stored

_SECONDS = 0.1  # what takes longer to compile is kept
_MOST = 64 << 20  # bytes of JAX's own files, which are about 50 kB each
_FOLDERS = 3  # of versions used last


def use() -> None:
    """Switch it on for this process; a folder that cannot be written to is done without."""
    config: Any = jax.config  # its stub does not know the options
    if config.jax_compilation_cache_dir:
        return
    try:
        # What JAX finds in its own cache cannot be kept as a program: no version meets another's.
        folder = platformdirs.user_cache_path("jaxem") / stored.here()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.utime(folder)
        remove_oldest(folder, _MOST)
        _remove_others(folder)
    except OSError:
        return
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return
    warnings.filterwarnings("ignore", message="Error (read|writ)ing persistent compilation cache")
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", _SECONDS)


def _remove_others(folder: Path) -> None:
    """Remove the folders of other versions but for a few."""
    with suppress(FileNotFoundError):  # another process was first
        by_use = sorted(folder.parent.iterdir(), key=lambda path: path.stat().st_mtime)
        for old in by_use[:-_FOLDERS]:
            shutil.rmtree(old, ignore_errors=True)
