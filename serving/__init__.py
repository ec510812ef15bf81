"""Run an exported model and ask it: server, client, funnel."""

import signatures  # noqa: F401  (sets TF_USE_LEGACY_KERAS before TensorFlow is imported)
