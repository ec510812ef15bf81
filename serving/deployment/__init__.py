"""Config files for TensorFlow Serving in containers, written from the exports: `signet serve --write-config`."""
