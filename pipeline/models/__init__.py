"""The models. A model is one file and its name in `registry.NAMES`."""
