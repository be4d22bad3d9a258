"""What may befall a run, in numbers: `make faults`. Quick ones of the same kind are in tests/core."""
