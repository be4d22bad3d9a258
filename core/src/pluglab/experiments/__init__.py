"""Several runs as one: prepared, run, compared."""
