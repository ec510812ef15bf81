"""Signet beside its peers: the same data, dimensions and batch, each in its own environment, in turn."""
