"""What every other floor stands on: the contracts, status codes, guarded numerics, input checks."""
