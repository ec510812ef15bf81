"""What an exported model answers, and the proof that nothing of training reaches a prediction."""

import os

# tensorflow-recommenders refuses Keras 3, and TensorFlow reads this variable once, at its import.
# `pipeline` and `serving` both import this package first, so this is the one place that sets it.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
