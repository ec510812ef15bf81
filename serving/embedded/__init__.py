"""TensorFlow Serving's embedded twin: any SavedModel behind gRPC and REST, for development and tests.

Same flags, codes, bodies and texts as tensorflow_model_server 2.16; production is TensorFlow Serving.
"""
