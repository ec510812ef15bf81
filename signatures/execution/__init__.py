"""The linter's second step: loads the model, asks it and compares answers, in its own process and limited time."""
