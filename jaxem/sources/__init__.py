"""Tables too large to hold, read piece by piece: `fit` and `em` take a source in the place of x.

jaxem.sources.npy("rows.npy"), .parquet("rows/*.parquet"), .arrow(make_reader), .batches(make).
What `impute` makes of one is another, which .to_parquet(source, "filled.parquet") writes.
"""

from jaxem.core.source import Source as Source
from jaxem.sources.arrays import batches as batches
from jaxem.sources.arrays import npy as npy
from jaxem.sources.arrow import arrow as arrow
from jaxem.sources.parquet import parquet as parquet
from jaxem.sources.written import to_parquet as to_parquet
