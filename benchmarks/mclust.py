"""mclust, in one process of R that is asked by lines: where R and mclust are installed."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.data import Parameters

_SERVER = """
suppressMessages(library(mclust))
numbers <- function(path, rows) matrix(readBin(path, "double", file.size(path) / 8), rows)
asked <- file("stdin", "r")
x <- NULL
z <- list()
while (length(line <- readLines(asked, 1)) > 0) {
  words <- strsplit(line, " ")[[1]]
  if (words[1] == "data") x <- numbers(words[2], as.integer(words[3]))
  if (words[1] == "start") z[[as.integer(words[3])]] <- numbers(words[2], nrow(x))
  if (words[1] == "fit") {
    tol <- as.numeric(words[3])
    best <- NULL
    for (i in as.integer(words[4]):as.integer(words[5])) {
      fit <- me(x, words[2], z[[i]],
                control = emControl(eps = 0, tol = c(tol, tol), itmax = c(1e5, 1e5)))
      if (is.null(best) || isTRUE(fit$loglik > best$loglik)) best <- fit
    }
    p <- best$parameters
    writeBin(as.numeric(c(p$pro, p$mean, p$variance$sigma)), words[6])
  }
  cat("done\\n")
}
"""


@cache
def is_installed() -> bool:
    if shutil.which("Rscript") is None:
        return False
    return not subprocess.run(["Rscript", "-e", "library(mclust)"], capture_output=True).returncode


class Mclust:
    """Fits of one table from given responsibilities, in float64."""

    def __init__(self, process: "subprocess.Popen[str]", folder: Path, x: np.ndarray) -> None:
        self._process, self._folder, (self._n, self._d) = process, folder, x.shape
        self._k = 0
        self._ask("data", self._written(x), str(self._n))

    def starts(self, each: Sequence[np.ndarray]) -> None:
        """Where later fits begin: responsibilities (n, k) each."""
        self._k = each[0].shape[1]
        for i, z in enumerate(each, 1):
            self._ask("start", self._written(z), str(i))

    def best(self, structure: str, tol: float, starts: range) -> Parameters:
        """The likeliest of the fits from some starts; tol: of the relative change of it."""
        found = self._folder / "found"
        first, last = starts[0] + 1, starts[-1] + 1
        self._ask("fit", structure, repr(tol), str(first), str(last), str(found))
        numbers, (k, d) = np.fromfile(found), (self._k, self._d)
        if numbers.size != k * (1 + d + d * d):
            raise ArithmeticError(f"mclust gave {numbers.size} numbers for {structure}")
        weights, means, covariances = np.split(numbers, [k, k + k * d])
        return Parameters(weights, means.reshape(k, d), covariances.reshape(k, d, d))

    def _written(self, table: np.ndarray) -> str:
        path = self._folder / "table"
        np.asfortranarray(table, np.float64).T.tofile(path)
        return str(path)

    def _ask(self, *words: str) -> None:
        asked, answered = self._process.stdin, self._process.stdout
        assert asked is not None and answered is not None
        print(*words, file=asked, flush=True)
        if answered.readline() != "done\n":
            raise RuntimeError("R ended")


@contextmanager
def running(x: np.ndarray) -> Iterator[Mclust]:
    with tempfile.TemporaryDirectory() as folder:
        command = ["Rscript", "--vanilla", "-e", _SERVER]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(command, text=True, **pipes) as process:
            yield Mclust(process, Path(folder), x)
            process.stdin.close()
