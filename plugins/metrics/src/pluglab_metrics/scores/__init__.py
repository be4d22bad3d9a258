"""Scores of generated images, as functions and as components of the kind `metric`."""
