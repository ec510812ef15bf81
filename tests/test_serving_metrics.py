"""The metrics: what is counted, under which names, and the page that Prometheus reads."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Dict, Iterator

import grpc
import httpx
import numpy as np
import pytest

from serving.client.client import Client
from serving.client.errors import ClientError
from serving.client.grpc_transport import GrpcTransport
from serving.embedded.metrics import registry
from serving.embedded.metrics.meters import Meters
from serving.embedded.metrics.page import render
from serving.embedded.metrics.registry import Counter, Histogram, exponential
from tests.fixtures_serving import wait_until
from tests.running_server import running

PATH = "/monitoring/prometheus/metrics"


def test_counter_on_the_page() -> None:
    counter = Counter("/tensorflow/serving/request_count", ("model_name", "status"))
    counter.add(("sum", "OK"))
    counter.add(("sum", "OK"))
    counter.add(('a"b\\c\nd', "NOT_FOUND"), 3)
    assert render([counter]).splitlines() == [
        "# TYPE :tensorflow:serving:request_count counter",
        r':tensorflow:serving:request_count{model_name="a\"b\\c\nd",status="NOT_FOUND"} 3',
        ':tensorflow:serving:request_count{model_name="sum",status="OK"} 2',
    ]


def test_histogram_on_the_page() -> None:
    # Bounds 10, 18, 32.4. A value that equals a bound counts above it.
    latency = Histogram("/tensorflow/x/latency", exponential(10, 1.8, 3), ("model_path",))
    for value in (9.5, 10, 1e6):
        latency.add(("/m/1",), value)
    assert render([latency]).splitlines() == [
        "# TYPE :tensorflow:x:latency histogram",
        ':tensorflow:x:latency_bucket{model_path="/m/1",le="10"} 1',
        ':tensorflow:x:latency_bucket{model_path="/m/1",le="18"} 2',
        ':tensorflow:x:latency_bucket{model_path="/m/1",le="32.4"} 2',
        ':tensorflow:x:latency_bucket{model_path="/m/1",le="+Inf"} 3',
        ':tensorflow:x:latency_sum{model_path="/m/1"} 1.00002e+06',
        ':tensorflow:x:latency_count{model_path="/m/1"} 3',
    ]


def test_metric_without_labels_and_without_values() -> None:
    sizes = Histogram("/tensorflow/serving/batching_session/input_batch_size", (1.0,))
    assert render([sizes]) == "# TYPE :tensorflow:serving:batching_session:input_batch_size histogram\n"
    sizes.add((), 0)
    assert render([sizes]).splitlines()[1] == (
        ':tensorflow:serving:batching_session:input_batch_size_bucket{le="1"} 1'
    )


def test_buckets_are_those_of_the_real_server() -> None:
    lines = Meters()
    lines.request_latency.add(("m", "Predict", "GRPC"), 1)
    bounds = re.findall(r'le="([^"]*)"', render([lines.request_latency]))
    # 10 * 1.8**19 and 10 * 1.8**20, as known dashboards of real servers quote them.
    assert (bounds[0], bounds[19], bounds[20], bounds[-1], len(bounds)) == ("10", "708235", "1.27482e+06", "+Inf", 34)


def test_names_that_clients_make_up_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_MOST_CELLS", 2)
    counter, latency = Counter("/c", ("model_name",)), Histogram("/h", (1.0,), ("model_name",))
    for name in "abca":
        counter.add((name,))
        latency.add((name,), 0)
    assert counter.snapshot() == {("a",): 2, ("b",): 1}
    assert [latency.count((name,)) for name in "abc"] == [2, 1, 0]


@pytest.fixture
def server(model_folder: Path, tmp_path: Path) -> Iterator[Any]:
    file = tmp_path / "monitoring.config"
    file.write_text("prometheus_config { enable: true }", encoding="utf-8")
    with running(model_name="sum", model_base_path=str(model_folder / "sum"), monitoring_config_file=str(file)) as made:
        yield made


def page(server: Any) -> Dict[str, float]:
    """Series and value."""
    answer = httpx.get(f"http://127.0.0.1:{server.flags.rest_api_port}{PATH}", trust_env=False)
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/plain")
    lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
    return {series: float(value) for series, _, value in (line.rpartition(" ") for line in lines)}


def test_requests_are_counted_by_model_and_status(server: Any) -> None:
    url = f"http://127.0.0.1:{server.flags.rest_api_port}/v1/models"
    with Client(GrpcTransport("127.0.0.1", server.flags.port)) as asking:
        asking.predict("sum", {"x": [[1.0, 2.0]]}, "one")
        with pytest.raises(ClientError):
            asking.predict("nowhere", {"x": [[1.0, 2.0]]}, "one")
    good = {"signature_name": "one", "inputs": [[1, 2]]}
    for _ in range(2):
        assert httpx.post(f"{url}/sum:predict", json=good, trust_env=False).status_code == 200
    assert httpx.post(f"{url}/sum:predict", content=b"{", trust_env=False).status_code == 400
    assert httpx.get(f"{url}/sum", trust_env=False).status_code == 200
    assert httpx.post(f"{url}/sum:dream", json=good, trust_env=False).status_code == 400
    found = page(server)
    count, latency = ":tensorflow:serving:request_count", ":tensorflow:serving:request_latency_count"
    # Predict over gRPC, two over REST, and a status; asking for metadata over gRPC is not counted.
    assert found[f'{count}{{model_name="sum",status="OK"}}'] == 4
    assert found[f'{count}{{model_name="sum",status="INVALID_ARGUMENT"}}'] == 1
    assert found[f'{count}{{model_name="",status="INVALID_ARGUMENT"}}'] == 1
    assert found[f'{latency}{{model_name="sum",API="Predict",entrypoint="GRPC"}}'] == 1
    assert found[f'{latency}{{model_name="sum",API="predict",entrypoint="REST"}}'] == 2
    assert found[f'{latency}{{model_name="sum",API="",entrypoint="REST"}}'] == 1
    runtime = ":tensorflow:serving:runtime_latency"
    labels = '{model_name="sum",API="Predict",runtime="TF1"}'
    assert found[f"{runtime}_count{labels}"] == 3
    # Microseconds: a tiny graph takes more than one and less than ten million of them.
    assert 1 < found[f"{runtime}_sum{labels}"] < 1e7
    assert found[':tensorflow:serving:request_latency_sum{model_name="sum",API="Predict",entrypoint="GRPC"}'] > 1


def test_refused_call_over_grpc_is_counted_with_its_code(server: Any) -> None:
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    request = predict_pb2.PredictRequest()
    request.model_spec.name = "nowhere"
    with grpc.insecure_channel(f"127.0.0.1:{server.flags.port}") as channel, pytest.raises(grpc.RpcError):
        prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=10)
    name = ':tensorflow:serving:request_count{model_name="nowhere",status="NOT_FOUND"}'
    wait_until(lambda: page(server).get(name) == 1)


def test_loads_are_counted_by_version_folder(server: Any, model_folder: Path) -> None:
    path = model_folder / "sum" / "3"
    found = page(server)
    assert found[f':tensorflow:cc:saved_model:load_attempt_count{{model_path="{path}",status="success"}}'] == 1
    assert found[f':tensorflow:cc:saved_model:load_latency{{model_path="{path}"}}'] > 1000


def test_failed_load_is_counted(tmp_path: Path, model_folder: Path) -> None:
    from serving.embedded.errors import StatusError
    from serving.embedded.flags import Flags
    from serving.embedded.loading import loader

    meters = Meters()
    (tmp_path / "1").mkdir()
    with pytest.raises(StatusError):
        loader(Flags(allow_unsafe_models=True), meters, None)("sum", tmp_path / "1")
    assert meters.load_attempts.snapshot() == {(str(tmp_path / "1"), "fail"): 1}


def test_examples_are_counted_for_classify_and_regress_alone() -> None:
    from serving.embedded.loading import _observer

    meters = Meters()
    observe = _observer("m", meters)
    observe("Predict", 5, 0.001)
    observe("Classify", 3, 0.001)
    observe("Regress", 4, 0.001)
    assert meters.example_count_total.snapshot() == {("m",): 7}
    assert meters.runtime_latency.snapshot()[("m", "Predict", "TF1")].total == pytest.approx(1000)


def test_page_is_not_there_until_it_is_switched_on(model_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "monitoring.config"
    file.write_text("prometheus_config { enable: true path: '/numbers' }", encoding="utf-8")
    model = {"model_name": "sum", "model_base_path": str(model_folder / "sum")}
    for flags, expected in (({}, (404, 404)), ({"monitoring_config_file": str(file)}, (404, 200))):
        with running(**model, **flags) as server:
            url = f"http://127.0.0.1:{server.flags.rest_api_port}"
            found = [httpx.get(f"{url}{path}", trust_env=False).status_code for path in (PATH, "/numbers")]
            assert tuple(found) == expected
            if flags:
                answer = httpx.get(f"{url}/numbers?x=1", trust_env=False)
                assert (answer.status_code, answer.text) == (400, "Unexpected path: /numbers?x=1. Should be /numbers")
                assert httpx.get(f"{url}/v1/models/sum", trust_env=False).status_code == 200


def test_batches_are_on_the_page(model_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "m").write_text("prometheus_config { enable: true }", encoding="utf-8")
    (tmp_path / "b").write_text(
        "max_batch_size { value: 8 } allowed_batch_sizes: 4 allowed_batch_sizes: 8", encoding="utf-8"
    )
    flags = {"enable_batching": True, "batching_parameters_file": str(tmp_path / "b"),
             "monitoring_config_file": str(tmp_path / "m")}
    with running(model_name="sum", model_base_path=str(model_folder / "sum"), **flags) as server:
        with Client(GrpcTransport("127.0.0.1", server.flags.port)) as asking:
            answer = asking.predict("sum", {"x": np.array([[1, 2]], np.float32)}, "one").outputs["y"]
        assert answer.tolist() == [21.0]
        found = page(server)
    session = ":tensorflow:serving:batching_session"
    assert found[f"{session}:input_batch_size_sum{{}}"] == 1
    assert found[f"{session}:processed_batch_size_sum{{}}"] == 4  # the smallest allowed
    assert found[f'{session}:padding_size_sum{{execution_batch_size="4"}}'] == 3
    assert found[f"{session}:wrapped_run_count{{}}"] == 1
    assert found[f'{session}:queuing_latency_count{{thread_pool_name=""}}'] == 1
