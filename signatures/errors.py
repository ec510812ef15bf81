"""The one exception that a user is meant to read."""


class UsageError(Exception):
    """Bad input: one sentence naming the field, the value and the remedy; the console exits with 2."""
