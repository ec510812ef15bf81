"""Finds the batching parameters that answer the most rows while the slowest requests stay within a target."""
