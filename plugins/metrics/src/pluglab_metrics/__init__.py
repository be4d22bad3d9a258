"""Evaluators and metrics: what a trained model can do, as numbers and as pictures."""
