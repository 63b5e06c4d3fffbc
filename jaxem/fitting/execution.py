"""What is static to the compiled programs of a fit."""

from dataclasses import dataclass

from jaxem.core.contracts import Model
from jaxem.fitting.accelerate import Acceleration


@dataclass(frozen=True)
class Execution:
    """block_size: units of rows a block; chunk: starts side by side."""

    model: Model
    block_size: int
    chunk: int
    acceleration: Acceleration
