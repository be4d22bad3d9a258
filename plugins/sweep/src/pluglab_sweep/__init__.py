"""`lab sweep`: values of a recipe that score well, found by Optuna. Every trial is an ordinary run."""
