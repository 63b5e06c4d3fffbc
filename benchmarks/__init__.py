"""The benchmark suites, `python -m benchmarks --suite NAME`. One question a file."""
