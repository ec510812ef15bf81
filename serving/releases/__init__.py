"""Releases: a version is loaded first, checked while it serves nobody, and given its label after; or all is undone."""
