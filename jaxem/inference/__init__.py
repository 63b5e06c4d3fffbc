"""Plain arrays in, plain arrays out."""
