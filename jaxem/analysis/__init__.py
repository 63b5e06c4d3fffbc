"""What can be done with a fit: predict, decode, impute, test, compare, diagnose."""
