"""Why a release did not come about."""

from __future__ import annotations


class ReleaseError(Exception):
    """A release that was refused, or failed and was undone; the message says what to do. Exit code 1."""


class NotUndone(ReleaseError):
    """It failed, and so did undoing it: the server may be in a state between the two."""
