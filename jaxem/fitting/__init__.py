"""The loop and what drives it; knows the contracts, and no model or family."""
