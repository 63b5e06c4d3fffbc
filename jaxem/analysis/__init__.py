"""What is done with a fit."""
