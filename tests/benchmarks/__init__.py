"""Benchmarks: `signet bench`."""
