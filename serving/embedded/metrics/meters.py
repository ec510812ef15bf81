"""Every metric of the server: its name, labels and buckets are TensorFlow Serving's. Times are in microseconds."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import List, Tuple

from serving.embedded.metrics.page import Metric
from serving.embedded.metrics.registry import Counter, Histogram, exponential

_LATENCIES = exponential(10, 1.8, 33)
_SIZES = exponential(1, 2, 14)


def _counter(name: str, *labels: str) -> Counter:
    made: Counter = field(default_factory=lambda: Counter(f"/tensorflow/{name}", labels))
    return made


def _histogram(name: str, bounds: Tuple[float, ...], *labels: str) -> Histogram:
    made: Histogram = field(default_factory=lambda: Histogram(f"/tensorflow/{name}", bounds, labels))
    return made


@dataclass
class Meters:
    """One server's; `request_*` by the transports, `batching_*` by the batches, `load_*` by the loader."""

    request_count: Counter = _counter("serving/request_count", "model_name", "status")
    request_latency: Histogram = _histogram("serving/request_latency", _LATENCIES, "model_name", "API", "entrypoint")
    """Of requests that were answered OK; `API` is Predict, … over gRPC, and predict, … over REST."""
    runtime_latency: Histogram = _histogram("serving/runtime_latency", _LATENCIES, "model_name", "API", "runtime")
    """Of the graph alone, with the wait for its batch."""
    example_counts: Histogram = _histogram("serving/request_example_counts", exponential(1, 2, 15), "model")
    example_count_total: Counter = _counter("serving/request_example_count_total", "model")
    warmup_latency: Histogram = _histogram("serving/model_warmup_latency", _LATENCIES, "model_path", "status")
    load_attempts: Counter = _counter("cc/saved_model/load_attempt_count", "model_path", "status")
    load_latency: Counter = _counter("cc/saved_model/load_latency", "model_path")
    batching_queuing: Histogram = _histogram(
        "serving/batching_session/queuing_latency", exponential(100, 1.2, 52), "thread_pool_name"
    )
    batching_runs: Counter = _counter("serving/batching_session/wrapped_run_count")
    batching_input: Histogram = _histogram("serving/batching_session/input_batch_size", _SIZES)
    """Rows of a request, once for each of its inputs."""
    batching_processed: Histogram = _histogram("serving/batching_session/processed_batch_size", _SIZES)
    """Rows of a batch, padding included."""
    batching_padding: Histogram = _histogram(
        "serving/batching_session/padding_size", _SIZES, "execution_batch_size"
    )

    def all(self) -> List[Metric]:
        return [getattr(self, each.name) for each in fields(self)]
