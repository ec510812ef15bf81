"""What a model server answers, seen from outside: one suite for every server that speaks TensorFlow Serving's protocol.

It runs against the embedded server always, against `tensorflow_model_server` where it is installed (marker `tfserving`)
and against its Docker image where an engine answers (marker `docker`). Each test is one behaviour observed on the real
server, named by the request that shows it.

    test_rest_refused.py    requests that are refused: code and text
    test_rest_answered.py   the two formats, numbers, bytes, layout
    test_rest_paths.py      methods, paths, versions, labels, status, metadata
    test_grpc.py            Predict, metadata and status over gRPC
    test_examples.py        Classify and Regress, over REST and gRPC
    test_multi_inference.py MultiInference
    test_pitfalls.py        where an imitation goes wrong, point by point
    test_versions.py        versions that come, break and go; warm-up
    test_reloads.py         labels, and models added and taken away while the server runs
    test_batching.py        batching, padding, limits
    test_travel.py          any value of any type travels the same, whichever way
    servers.py asking*.py models.py conftest.py    the servers under test, how to ask them, what they serve
"""
