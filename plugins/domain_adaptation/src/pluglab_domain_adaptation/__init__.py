"""Unsupervised domain adaptation: train on a labelled source, do well on an unlabelled target."""
