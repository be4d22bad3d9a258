"""Unsupervised domain adaptation: train on a labeled source, do well on an unlabeled target."""
