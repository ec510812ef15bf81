"""Versions that come, break and go while requests run."""

from __future__ import annotations

import shutil
import socket
import threading
from functools import partial
from pathlib import Path
from typing import Any, Callable, List

import httpx
import numpy as np
import pytest

from serving.client.client import Client
from serving.client.errors import NotFound, Refused, Unavailable
from serving.client.grpc_transport import GrpcTransport
from serving.client.rest_transport import RestTransport
from serving.launch import model_config
from signatures.errors import UsageError
from tests.fixtures_serving import Address, save_sum, wait_until
from tests.running_server import ROW, client, publish, running, score, states


def start(**flags: Any) -> None:
    """Starts a server that is expected not to start."""
    with running(**flags):
        pass


def _reached(server: Any, wanted: List[Any]) -> bool:
    return set(wanted) <= set(states(server))


def test_new_version_is_taken_while_requests_run(copy_of: Callable[[str], Path], other_sum: Path) -> None:
    base = copy_of("sum")
    stop = threading.Event()
    answers: List[Any] = []

    def ask(asking: Client) -> None:
        while not stop.is_set():
            try:
                found = asking.predict("sum", ROW)
                answers.append((found.version, float(found.outputs["score"][0])))
            except Exception as error:  # noqa: BLE001  (any failure at all is what the test looks for)
                answers.append(error)

    with running(model_name="sum", model_base_path=str(base)) as server:
        clients = [Client(GrpcTransport("127.0.0.1", server.flags.port)),
                   Client(RestTransport("127.0.0.1", server.flags.rest_api_port))]
        threads = [threading.Thread(target=ask, args=(each,)) for each in clients]
        for thread in threads:
            thread.start()
        for version in (4, 5, 6):
            publish(other_sum if version % 2 == 0 else base / "3", base / str(version))
            wanted = [(version, "AVAILABLE"), (version - 1, "END")]
            wait_until(partial(_reached, server, wanted))
        stop.set()
        for thread in threads:
            thread.join()
        for each in clients:
            each.close()
    assert [answer for answer in answers if isinstance(answer, Exception)] == []
    # gRPC tells the version, and each version answers with its own score; REST tells none.
    assert {answer for answer in answers if answer[0] is not None} == {(3, 6.0), (4, 106.0), (5, 6.0), (6, 106.0)}


def test_broken_version_is_tried_again(copy_of: Callable[[str], Path], other_sum: Path) -> None:
    base = copy_of("sum")
    flags = {"max_num_load_retries": 1000, "load_retry_interval_micros": 50_000}
    with running(model_name="sum", model_base_path=str(base), **flags) as server, client(server) as asking:
        (base / "4").mkdir()
        wait_until(lambda: (4, "LOADING") in states(server))
        for entry in sorted(other_sum.iterdir(), key=lambda entry: entry.name == "saved_model.pb"):
            (shutil.copytree if entry.is_dir() else shutil.copy)(entry, base / "4" / entry.name)
        wait_until(lambda: (4, "AVAILABLE") in states(server))
        assert score(asking) == 106.0


def test_warm_up_can_be_switched_off(copy_of: Callable[[str], Path]) -> None:
    base = copy_of("sum")
    (base / "3" / "assets.extra").mkdir()
    (base / "3" / "assets.extra" / "tf_serving_warmup_requests").write_bytes(b"this is no TFRecord at all")
    with pytest.raises(UsageError, match="verify your warmup data is in TFRecord format"):
        start(model_name="sum", model_base_path=str(base))
    with running(model_name="sum", model_base_path=str(base), enable_model_warmup=False) as server:
        assert states(server) == [(3, "AVAILABLE")]


def test_config_file_is_followed(model_folder: Path, tmp_path: Path, copy_of: Callable[[str], Path]) -> None:
    base, file = copy_of("sum"), tmp_path / "models.config"
    file.write_text(model_config({"sum": base}), encoding="utf-8")
    flags = {"model_config_file": str(file), "model_config_file_poll_wait_seconds": 0.05}
    with running(**flags) as server, client(server) as asking:
        file.write_text("nonsense {", encoding="utf-8")
        threading.Event().wait(0.2)
        assert score(asking) == 6.0
        file.write_text(model_config({"echo": model_folder / "echo"}), encoding="utf-8")
        wait_until(lambda: "sum" not in server.models._models)
        wait_until(lambda: states(server, "echo") == [(1, "AVAILABLE")])
        assert asking.predict("echo", {"v": [1.5]}, "float32").outputs["v"][0] == 1.5
        with pytest.raises(NotFound):
            score(asking)


def _config(base: Path, more: str) -> str:
    return model_config({"sum": base}).replace("model_platform", f"{more}\n    model_platform")


def test_policies_and_labels(copy_of: Callable[[str], Path], other_sum: Path, tmp_path: Path) -> None:
    base, file = copy_of("sum"), tmp_path / "models.config"
    publish(other_sum, base / "4")
    publish(base / "3", base / "5")
    policies = {"latest { num_versions: 2 }": [5, 4], "all {}": [5, 4, 3], "specific { versions: 3 }": [3]}
    for policy, expected in policies.items():
        file.write_text(_config(base, f"model_version_policy {{ {policy} }}"), encoding="utf-8")
        with running(model_config_file=str(file)) as server:
            wait_until(partial(_reached, server, [(number, "AVAILABLE") for number in expected]))
            assert {number for number, _ in states(server)} == set(expected)
    labels = 'model_version_policy { all {} } version_labels { key: "stable" value: 4 }'
    file.write_text(_config(base, labels), encoding="utf-8")
    with pytest.raises(UsageError, match="Request to assign label to version 4 of model sum"):
        start(model_config_file=str(file))
    flags = {"model_config_file": str(file), "allow_version_labels_for_unavailable_models": True}
    with running(**flags) as server, client(server) as asking:
        wait_until(lambda: (4, "AVAILABLE") in states(server))
        answer = asking.predict("sum", ROW, label="stable")
        assert (answer.version, answer.outputs["score"][0]) == (4, 106.0)


def test_unused_version_is_closed_and_a_used_one_is_not(copy_of: Callable[[str], Path], other_sum: Path) -> None:
    base = copy_of("sum")
    with running(model_name="sum", model_base_path=str(base)) as server:
        with server.models.serving("sum") as borrowed:
            publish(other_sum, base / "4")
            wait_until(lambda: states(server) == [(4, "AVAILABLE"), (3, "UNLOADING")])
            assert borrowed.servable.run("one", {"x": np.array([[1, 2]], np.float32)}, ["y"])["y"][0] == 21.0
        wait_until(lambda: states(server) == [(4, "AVAILABLE"), (3, "END")])


def test_unsafe_model_is_refused(tmp_path: Path, copy_of: Callable[[str], Path]) -> None:
    import tensorflow as tf

    module = tf.Module()
    read = tf.function(lambda path: {"content": tf.io.read_file(path[0])}, [tf.TensorSpec([None], tf.string, "path")])
    tf.saved_model.save(module, str(tmp_path / "reader" / "1"), signatures={"serving_default": read})
    with pytest.raises(UsageError, match="SIG204.*--allow_unsafe_models"):
        start(model_name="reader", model_base_path=str(tmp_path / "reader"))
    flags = {"model_name": "reader", "model_base_path": str(tmp_path / "reader"), "allow_unsafe_models": True}
    with running(**flags) as server:
        url = f"http://127.0.0.1:{server.flags.rest_api_port}/v1/models/reader:predict"
        answer = httpx.post(url, json={"inputs": [str(tmp_path / "nowhere")]}, trust_env=False)
        # An op's own code: NotFound is 404.
        assert answer.status_code == 404 and "No such file" in answer.json()["error"]


def test_slow_request_times_out_and_a_full_server_says_so(tmp_path: Path) -> None:
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, "turns")])
    def slow(turns: Any) -> Any:
        matrix = tf.ones([500, 500])
        for _ in tf.range(turns[0]):
            matrix = tf.matmul(matrix, matrix) / tf.norm(matrix)
        return {"y": tf.zeros_like(turns) + tf.cast(matrix[0, 0] * 0, tf.int32)}

    module = tf.Module()
    module.slow = slow
    tf.saved_model.save(module, str(tmp_path / "slow" / "1"), signatures={"serving_default": slow})
    flags = {"model_name": "slow", "model_base_path": str(tmp_path / "slow")}
    with running(**flags, rest_api_timeout_in_ms=300, grpc_max_threads=1) as server, client(server) as asking:
        url = f"http://127.0.0.1:{server.flags.rest_api_port}/v1/models/slow:predict"
        answer = httpx.post(url, json={"inputs": [100_000]}, trust_env=False, timeout=30)
        assert (answer.status_code, answer.json()) == (504, {"error": "Timed out waiting for notification"})
        assert httpx.post(url, json={"inputs": [0]}, trust_env=False).json() == {"outputs": [0]}
        asking.predict("slow", {"turns": [0]})  # knows the contract now
        busy = threading.Thread(target=asking.predict, args=("slow", {"turns": [400]}))
        busy.start()
        wait_until(lambda: server.models.status("slow")[0].users == 1)
        with pytest.raises(Unavailable):
            asking.predict("slow", {"turns": [0]})
        busy.join()


def test_memory_is_flat_over_reloads(tmp_path: Path) -> None:
    from serving.embedded.servable import Servable

    path = save_sum(tmp_path / "1")

    def cycle(times: int) -> int:
        for _ in range(times):
            servable = Servable(path)
            servable.run("one", {"x": np.array([[1, 2]], np.float32)}, ["y"])
            servable.close()
        return int(Path("/proc/self/statm").read_text().split()[1])

    if not Path("/proc/self/statm").exists():
        pytest.skip("no /proc on this system")
    first, last = cycle(10), cycle(30)
    assert (last - first) * 4096 < 20e6  # a leak of a whole session is about 2 MB


def test_label_waits_for_its_version(copy_of: Callable[[str], Path], other_sum: Path, tmp_path: Path) -> None:
    base, file = copy_of("sum"), tmp_path / "models.config"
    file.write_text(_config(base, "model_version_policy { all {} }"), encoding="utf-8")
    flags = {"model_config_file": str(file), "model_config_file_poll_wait_seconds": 0.05}
    with running(**flags) as server, client(server) as asking:
        labels = 'model_version_policy { all {} } version_labels { key: "canary" value: 4 }'
        file.write_text(_config(base, labels), encoding="utf-8")
        threading.Event().wait(0.2)
        with pytest.raises(Refused, match="Unrecognized servable version label: canary"):
            asking.predict("sum", ROW, label="canary")
        publish(other_sum, base / "4")
        wait_until(lambda: server.models._settings["sum"].labels == {"canary": 4})
        assert asking.predict("sum", ROW, label="canary").version == 4


@pytest.mark.parametrize("flag", ["port", "rest_api_port"])
def test_only_this_machine_is_answered(embedded: Address, flag: str) -> None:
    port = embedded.port if flag == "port" else embedded.rest_port
    socket.create_connection(("127.0.0.1", port), 5).close()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.2", port), 5)
