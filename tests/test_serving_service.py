"""The server's own flags, through both ports of a running server: batching, limits, sockets, keys, tags."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import grpc
import httpx
import numpy as np
import pytest

from signatures.errors import UsageError
from tests.fixtures_serving import wait_until
from tests.running_server import client, publish, running, score, states, url

ONE = {"signature_name": "one", "inputs": [[1, 2]]}


def post(server: Any, body: Any, path: str = "sum:predict") -> Tuple[int, Any]:
    answer = httpx.post(url(server, path), json=body, trust_env=False, timeout=30)
    return answer.status_code, answer.json()


def batching(folder: Path, text: str) -> Dict[str, Any]:
    """The flags for batching with these parameters."""
    (folder / "batching.config").write_text(text, encoding="utf-8")
    return {"enable_batching": True, "batching_parameters_file": str(folder / "batching.config")}


def test_requests_over_both_ports_share_a_batch(model_folder: Path, tmp_path: Path) -> None:
    flags = batching(tmp_path, "max_batch_size { value: 3 } batch_timeout_micros { value: 30000000 }")
    with running(model_name="sum", model_base_path=str(model_folder / "sum"), **flags) as server:
        with client(server) as asking, ThreadPoolExecutor(2) as threads:
            typed = threads.submit(asking.predict, "sum", {"x": np.array([[3, 4]], np.float32)}, "one")
            text = threads.submit(post, server, {"signature_name": "one", "instances": [[1, 2], [5, 6]]})
            # y = x0 + 10 x1
            assert typed.result(30).outputs["y"].tolist() == [43.0]
            assert text.result(30) == (200, {"predictions": [21.0, 65.0]})
        assert server.meters.batching_runs.snapshot() == {(): 1}


def test_what_cannot_be_batched_is_refused_with_the_observed_text(model_folder: Path, tmp_path: Path) -> None:
    flags = batching(tmp_path, "max_batch_size { value: 8 }")
    with running(model_name="sum", model_base_path=str(model_folder / "sum"), **flags) as server:
        assert post(server, {"signature_name": "one", "inputs": [[1, 2]] * 9}) == (
            400, {"error": "Task size 9 is larger than maximum input batch size 8"}
        )
        assert post(server, {"inputs": {"x": [[1, 2]], "ids": [3, 4], "name": ["a"]}}) == (
            400, {"error": "Batching Run() input tensors must have equal 0th-dimension size"}
        )
        assert post(server, {"signature_name": "one", "inputs": [[1, 2]] * 8})[0] == 200


def test_ragged_requests_are_padded_into_one_batch(model_folder: Path, tmp_path: Path) -> None:
    parameters = "max_batch_size { value: 2 } batch_timeout_micros { value: 30000000 } pad_variable_length_inputs: true"
    flags = batching(tmp_path, parameters)
    rows = [
        {"history": [5, 7, 9], "history_rating": [0.5, 0, 9], "history_length": 2},  # (5 + 7) * (1 + 0.5)
        {"history": [4], "history_rating": [1.0], "history_length": 1},  # 4 * (1 + 1); padding would make 12 * 4
    ]
    with running(model_name="ragged", model_base_path=str(model_folder / "ragged"), **flags) as server:
        with ThreadPoolExecutor(2) as threads:
            answers = threads.map(lambda row: post(server, {"instances": [row]}, "ragged:predict"), rows)
            assert list(answers) == [(200, {"predictions": [18.0]}), (200, {"predictions": [8.0]})]
        assert server.meters.batching_runs.snapshot() == {(): 1}


def test_full_queue_answers_at_once_with_the_right_code(
    model_folder: Path, tmp_path: Path, gate: Any
) -> None:
    parameters = "max_batch_size { value: 1 } max_enqueued_batches { value: 1 } num_batch_threads { value: 1 }"
    flags = batching(tmp_path, parameters)
    flags.update(model_name="sum", model_base_path=str(model_folder / "sum"))
    with running(**flags) as server, ThreadPoolExecutor(2) as threads:
        target = f"127.0.0.1:{server.flags.port}"
        assert raw_predict(target)[0] is grpc.StatusCode.OK
        gate.clear()
        before = gate.runs
        running_one = threads.submit(post, server, ONE)
        wait_until(lambda: gate.runs > before)
        waiting_one = threads.submit(post, server, ONE)
        batcher = server.models.status("sum")[0].servable._run.__self__
        wait_until(lambda: any(queue._open.rows for queue in batcher._queues.values()))
        started = time.monotonic()
        status, answer = post(server, ONE)
        assert status == 503
        assert answer["error"].startswith("The batch scheduling queue to which this task was submitted is full")
        code, details = raw_predict(target)
        assert code is grpc.StatusCode.UNAVAILABLE and "is full; currently 1 batches enqueued" in details
        assert time.monotonic() - started < 5
        gate.set()
        assert [each.result(30)[0] for each in (running_one, waiting_one)] == [200, 200]


def test_model_brings_its_own_parameters(
    copy_of: Callable[[str], Path], other_sum: Path, tmp_path: Path
) -> None:
    base = copy_of("sum")
    flags = {"enable_batching": True, "enable_per_model_batching_parameters": True}
    with running(model_name="sum", model_base_path=str(base), **flags) as server:
        assert post(server, {"signature_name": "one", "inputs": [[1, 2]] * 3})[0] == 200
        assert server.meters.batching_runs.snapshot() == {}  # version 3 ships none and is not batched
        for version, text in ((4, "max_batch_size { value: 2 }"), (5, "max_batch_size: 2")):
            shutil.copytree(other_sum, base / "work")
            (base / "work" / "batching_params.pbtxt").write_text(text, encoding="utf-8")
            (base / "work").rename(base / str(version))
            wait_until(partial(_settled, server, version))
        assert post(server, {"signature_name": "one", "inputs": [[1, 2]] * 3}) == (
            400, {"error": "Task size 3 is larger than maximum input batch size 2"}
        )
        error = server.models.status("sum", 5)[0].error
        assert error.code == "INVALID_ARGUMENT" and error.message.startswith("Invalid protobuf file: '")


def _settled(server: Any, version: int) -> bool:
    return states(server)[0] in [(version, "AVAILABLE"), (version, "END")]


def test_warm_up_goes_through_the_batches(copy_of: Callable[[str], Path], tmp_path: Path) -> None:
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    base = copy_of("sum")
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.model_spec.signature_name = "one"
    log.predict_log.request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.array([[1, 2]], np.float32)))
    (base / "3" / "assets.extra").mkdir()
    with tf.io.TFRecordWriter(str(base / "3" / "assets.extra" / "tf_serving_warmup_requests")) as writer:
        writer.write(log.SerializeToString())
    flags = batching(tmp_path, "max_batch_size { value: 8 } allowed_batch_sizes: 8")
    with running(model_name="sum", model_base_path=str(base), **flags) as server:
        # One row was logged; the graph was run with the allowed eight, which is what requests will find warm.
        assert server.meters.batching_processed.snapshot()[()].total == 8
        assert server.meters.warmup_latency.count((str(base / "3"), "OK")) == 1


def test_bad_batching_file_ends_the_server(model_folder: Path, tmp_path: Path) -> None:
    flags = batching(tmp_path, "max_batch_size { value: 8 } allowed_batch_sizes: 4")
    before = threading.active_count()
    with pytest.raises(UsageError, match="last entry was 4; expected 8"), running(
        model_name="sum", model_base_path=str(model_folder / "sum"), **flags
    ):
        pass
    assert threading.active_count() == before


def test_rows_of_a_request_are_limited(model_folder: Path) -> None:
    with running(model_name="sum", model_base_path=str(model_folder / "sum"), row_limit=10_000) as server:
        status, answer = post(server, {"signature_name": "one", "inputs": [[1, 2]] * 10_000})
        assert (status, answer["outputs"]) == (200, [21.0] * 10_000)
        assert post(server, {"signature_name": "one", "inputs": [[1, 2]] * 10_001}) == (
            400, {"error": "Task size 10001 is larger than --row_limit=10000"}
        )


def test_calls_beyond_the_threads_are_refused(model_folder: Path, gate: Any) -> None:
    flags = {"model_name": "sum", "model_base_path": str(model_folder / "sum"), "grpc_max_threads": 2}
    with running(**flags) as server, client(server) as asking, ThreadPoolExecutor(2) as threads:
        asking.predict("sum", {"x": [[1.0, 2.0]]}, "one")
        gate.clear()
        before = gate.runs
        busy = [threads.submit(asking.predict, "sum", {"x": [[1.0, 2.0]]}, "one") for _ in range(2)]
        wait_until(lambda: gate.runs == before + 2)
        code, details = raw_predict(f"127.0.0.1:{server.flags.port}")
        assert (code, details) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "Server Threadpool Exhausted")
        gate.set()
        assert [each.result(30).outputs["y"].tolist() for each in busy] == [[21.0]] * 2
        assert raw_predict(f"127.0.0.1:{server.flags.port}")[0] is grpc.StatusCode.OK


def raw_predict(target: str, credentials: Any = None, rows: int = 1) -> Any:
    """Code and text of one call of `one`, without the client's retries and checks."""
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "sum", "one"
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.tile(np.array([[1, 2]], np.float32), [rows, 1])))
    options = [("grpc.ssl_target_name_override", "localhost"), ("grpc.max_receive_message_length", -1)]
    channel = grpc.insecure_channel(target, options) if credentials is None else grpc.secure_channel(
        target, credentials, options
    )
    with channel:
        try:
            prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=30)
        except grpc.RpcError as error:
            return error.code(), error.details()
    return grpc.StatusCode.OK, ""


def test_large_message_is_refused(model_folder: Path) -> None:
    flags = {"model_name": "sum", "model_base_path": str(model_folder / "sum"), "body_limit_bytes": 100_000}
    with running(**flags) as server:
        target = f"127.0.0.1:{server.flags.port}"
        code, details = raw_predict(target, rows=20_000)  # 8 bytes each
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in details
        assert raw_predict(target, rows=10_000)[0] is grpc.StatusCode.OK


def test_channel_arguments_reach_grpc(model_folder: Path) -> None:
    flags = {"model_name": "sum", "model_base_path": str(model_folder / "sum"),
             "grpc_channel_arguments": "grpc.max_receive_message_length=1000,grpc.max_concurrent_streams=8"}
    with running(**flags) as server:
        assert raw_predict(f"127.0.0.1:{server.flags.port}", rows=1000)[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert raw_predict(f"127.0.0.1:{server.flags.port}")[0] is grpc.StatusCode.OK


def test_socket_of_the_file_system(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("s") / "s"  # a socket's path has at most 100 letters
    flags = {"model_name": "sum", "model_base_path": str(model_folder / "sum"), "grpc_socket_path": str(path)}
    with running(**flags) as server:
        assert raw_predict(f"unix:{path}")[0] is grpc.StatusCode.OK
        assert raw_predict(f"127.0.0.1:{server.flags.port}")[0] is grpc.StatusCode.OK


def test_key_and_certificate(model_folder: Path, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )
    escaped = [file.read_text().replace("\n", "\\n") for file in (key, certificate)]
    config = tmp_path / "ssl.config"
    config.write_text(f'server_key: "{escaped[0]}" server_cert: "{escaped[1]}"', encoding="utf-8")
    flags = {"model_name": "sum", "model_base_path": str(model_folder / "sum"), "ssl_config_file": str(config)}
    with running(**flags) as server:
        target = f"localhost:{server.flags.port}"
        trusted = grpc.ssl_channel_credentials(certificate.read_bytes())
        assert raw_predict(target, trusted)[0] is grpc.StatusCode.OK
        assert raw_predict(target)[0] is grpc.StatusCode.UNAVAILABLE  # in the clear


@pytest.mark.parametrize(
    ("text", "words"), [("nonsense", "SSLConfig"), ('server_key: "x"', "lacks server_key or server_cert")]
)
def test_bad_key_file(model_folder: Path, tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "ssl.config").write_text(text, encoding="utf-8")
    flags = {"model_base_path": str(model_folder / "sum"), "ssl_config_file": str(tmp_path / "ssl.config")}
    with pytest.raises(UsageError, match=words), running(**flags):
        pass


def test_pages_of_other_origins_may_ask(model_folder: Path) -> None:
    flags = {"model_name": "sum", "model_base_path": str(model_folder / "sum")}
    for enabled in (True, False):
        with running(**flags, rest_api_enable_cors_support=enabled) as server:
            answer = httpx.post(url(server, "sum:predict"), json=ONE, trust_env=False)
            assert answer.json() == {"outputs": [21.0]}
            assert answer.headers.get("access-control-allow-origin") == ("*" if enabled else None)
            asked = httpx.request("OPTIONS", url(server, "sum:predict"), trust_env=False)
            assert asked.status_code == (200 if enabled else 400)


def test_tags_choose_the_meta_graph(model_folder: Path) -> None:
    with pytest.raises(UsageError, match=r"meta graph def matching supplied tags: \{ gpu serve \}"), running(
        model_name="sum", model_base_path=str(model_folder / "sum"), saved_model_tags="serve,gpu"
    ):
        pass


def test_session_options_come_from_file_and_flags(tmp_path: Path) -> None:
    from serving.embedded.flags import Flags
    from serving.embedded.loading import session_config

    file = tmp_path / "session.config"
    file.write_text("intra_op_parallelism_threads: 3 inter_op_parallelism_threads: 5 "
                    "graph_options { rewrite_options { auto_mixed_precision: ON } }", encoding="utf-8")
    found = session_config(Flags(tensorflow_session_config_file=str(file), tensorflow_intra_op_parallelism=7))
    assert (found.intra_op_parallelism_threads, found.inter_op_parallelism_threads) == (7, 5)
    assert found.graph_options.rewrite_options.auto_mixed_precision == 1
    both = session_config(Flags(tensorflow_session_parallelism=2, per_process_gpu_memory_fraction=0.5))
    assert (both.intra_op_parallelism_threads, both.inter_op_parallelism_threads) == (2, 2)
    assert both.gpu_options.per_process_gpu_memory_fraction == 0.5
    file.write_text("nonsense", encoding="utf-8")
    with pytest.raises(UsageError, match="--tensorflow_session_config_file .* ConfigProto"):
        session_config(Flags(tensorflow_session_config_file=str(file)))


@pytest.mark.parametrize(("threads", "most"), [(0, 1), (2, 2)])
def test_versions_load_in_turn_once_the_server_runs(
    copy_of: Callable[[str], Path], other_sum: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int,
    most: int,
) -> None:
    from serving.embedded import loading
    from serving.launch import model_config

    base, file = copy_of("sum"), tmp_path / "models.config"
    text = model_config({"sum": base}).replace("model_platform", "model_version_policy { all {} } model_platform")
    file.write_text(text, encoding="utf-8")
    with running(model_config_file=str(file), num_load_threads=threads) as server:
        lock, inside = threading.Lock(), [0]
        seen: List[int] = []
        restored = loading._restored

        def watched(*arguments: Any) -> Any:
            with lock:
                inside[0] += 1
                seen.append(inside[0])
            try:
                time.sleep(0.2)  # the others get their chance
                return restored(*arguments)
            finally:
                with lock:
                    inside[0] -= 1

        monkeypatch.setattr(loading, "_restored", watched)
        for version in (4, 5, 6):
            publish(other_sum, base / f"later-{version}")
        for version in (4, 5, 6):
            (base / f"later-{version}").rename(base / str(version))
        wait_until(lambda: [state for _, state in states(server)] == ["AVAILABLE"] * 4)
        assert max(seen) == most
        with client(server) as asking:
            assert score(asking) == 106.0
