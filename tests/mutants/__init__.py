"""Mutants: what guards data is left out of the code, one thing at a time, to see that a test notices."""
