"""Does every fit end, and is none that failed called converged? Random shapes, under a watchdog.

    python -m benchmarks.stress [--fits 500] [--cores 2] [--seed 0] [--compilations 40]

n from 50 to 2000, d to 40, k to 10, 1 to 200 starts, all structures, both dtypes. Compiling a fit
takes longer than running it: of each shape several data sets are fitted. A child process fits; it
hangs when it has used no CPU for a minute. Linux alone: that is read from /proc.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import numpy as np

IDLE_S = 60.0
ROOT = Path(__file__).parent.parent
STRUCTURES = ("full", "tied", "diag", "spherical")


def fits(n_fits: int, n_shapes: int, seed: int) -> None:
    """One line a fit: its shape first, what it came to after it."""
    import jaxem

    rng = np.random.default_rng(seed)
    for shape in range(n_shapes):
        structure, single = STRUCTURES[shape % 4], bool(rng.integers(2))
        n, d, k, n_init = (
            int(rng.integers(*ends)) for ends in ((50, 2001), (1, 41), (1, 11), (1, 201))
        )
        model = jaxem.Mixture(jaxem.families.Gaussian(structure), k)
        for _ in range(-(-n_fits // n_shapes)):
            x = rng.normal(size=(n, d)) + rng.normal(0, 3, (k, d))[rng.integers(k, size=n)]
            print(
                json.dumps([structure, n, d, k, n_init, "float32" if single else "float64"]),
                flush=True,
            )
            x = x.astype(np.float32) if single else x
            fit = jaxem.fit(model, x, key=jax.random.key(shape), n_init=n_init, max_iter=100)
            finite = all(bool(np.isfinite(leaf).all()) for leaf in jax.tree.leaves(fit.params))
            finite = finite and bool(np.isfinite(fit.log_likelihood))
            print(json.dumps({"converged": bool(fit.converged), "finite": finite}), flush=True)
        jax.clear_caches()


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ended(child: subprocess.Popen) -> bool:
    """Waits; whether the child came to its end by itself."""
    used, since = 0.0, time.monotonic()
    while child.poll() is None:
        time.sleep(1)
        now = cpu_seconds(child.pid)
        if now > used:
            used, since = now, time.monotonic()
        elif time.monotonic() - since > IDLE_S:
            child.kill()
            return False
    return True


def watch(arguments: argparse.Namespace, log: Path) -> int:
    command = [sys.executable, "-m", "benchmarks.stress", "--child"]
    for name in ("fits", "seed", "compilations"):
        command += [f"--{name}", str(getattr(arguments, name))]
    with log.open("w") as out:
        child = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=out,
            preexec_fn=lambda: os.sched_setaffinity(0, range(arguments.cores)),
        )
        came_to_its_end = ended(child)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    ends = [line for line in lines if isinstance(line, dict)]
    false = sum(end["converged"] and not end["finite"] for end in ends)
    print(
        f"{len(ends)} fits on {arguments.cores} cores, {sum(end['converged'] for end in ends)} "
        f"converged, {false} of them not finite"
    )
    if not came_to_its_end or child.returncode:
        print(f"{'hangs' if not came_to_its_end else 'ends with an error'}: {lines[-1]}")
    return int(not came_to_its_end or child.returncode != 0 or false > 0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fits", type=int, default=500)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--compilations", type=int, default=40, help="how many shapes")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.child:
        with tempfile.TemporaryDirectory() as folder:
            return watch(arguments, Path(folder) / "fits")
    jax.config.update("jax_enable_x64", True)
    fits(arguments.fits, arguments.compilations, arguments.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
