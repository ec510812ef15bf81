"""Requests of many clients run as one batch, with TensorFlow Serving's parameters, padding and refusals."""
