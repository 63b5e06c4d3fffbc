"""Two groups of rows, and the same with 10 % gross outliers."""

import numpy as np

_drawn = np.random.default_rng(0).normal(size=(270, 2))
GROUPS = np.vstack([_drawn[:150], 0.7 * _drawn[150:] + [5, 3]])
SPOILT = np.vstack([GROUPS, np.random.default_rng(1).uniform(-60, 60, size=(30, 2))])
