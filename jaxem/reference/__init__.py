"""The oracle: the same EM in plain NumPy, float64, loops to read beside a textbook.

Shares no line with the rest of jaxem; only tests and benchmarks import it.
"""
