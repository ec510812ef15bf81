"""Tests of Signet. A package, so that they can share fixtures by name."""
