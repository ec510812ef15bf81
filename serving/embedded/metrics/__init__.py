"""What the server counts and times, under TensorFlow Serving's names, as a page for Prometheus."""
