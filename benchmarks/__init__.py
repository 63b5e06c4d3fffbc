"""The benchmark suite: `python -m benchmarks --suite quick|cpu|gpu`. One question a file."""
