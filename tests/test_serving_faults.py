"""What goes wrong around a server, on purpose: whatever clients, files and signals do, good requests are answered."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Callable, Iterator, List, Set, Tuple

import grpc
import httpx
import numpy as np
import pytest

from serving.client.client import Client
from serving.client.grpc_transport import GrpcTransport
from serving.client.rest_transport import RestTransport
from serving.launch import model_config
from tests.fixtures_serving import free_port, wait_until
from tests.running_server import ROW, client, publish, running, score, states, url

ONE = b'{"signature_name": "one", "inputs": [[1, 2]]}'
HEAD = "POST /v1/models/sum:predict HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n"


@pytest.fixture(scope="module")
def server(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One server for all bad clients, each of which must leave it as it was."""
    file = tmp_path_factory.mktemp("config") / "models.config"
    file.write_text(model_config({name: model_folder / name for name in ("sum", "echo")}), encoding="utf-8")
    with running(model_config_file=str(file), rest_api_timeout_in_ms=2_000) as made:
        yield made


@pytest.fixture(autouse=True)
def still_serving(request: pytest.FixtureRequest) -> Iterator[None]:
    """After every test that used the shared server: it answers over both ports, and quickly."""
    yield
    if "server" in request.fixturenames:
        made = request.getfixturevalue("server")
        started = time.monotonic()
        assert post(made, ONE) == (200, {"outputs": [21.0]})
        with client(made) as asking:
            assert score(asking) == 6.0
        assert time.monotonic() - started < 5


def post(made: Any, content: bytes, path: str = "sum:predict", **options: Any) -> Tuple[int, Any]:
    answer = httpx.post(url(made, path), content=content, trust_env=False, timeout=60, **options)
    return answer.status_code, json.loads(answer.content.decode("utf-8", "surrogateescape"))


def connect(made: Any) -> socket.socket:
    return socket.create_connection(("127.0.0.1", made.flags.rest_api_port), 10)


def received(connection: socket.socket) -> bytes:
    """Everything until the server closes."""
    connection.settimeout(20)
    parts: List[bytes] = []
    while True:
        part = connection.recv(65536)
        if not part:
            return b"".join(parts)
        parts.append(part)


# Bad clients


def test_client_that_disconnects_before_its_answer(server: Any) -> None:
    for _ in range(50):
        with connect(server) as connection:
            connection.sendall(HEAD.format(len(ONE)).encode() + ONE)


def test_client_that_sends_half_a_body_and_leaves(server: Any) -> None:
    for _ in range(50):
        with connect(server) as connection:
            connection.sendall(HEAD.format(len(ONE)).encode() + ONE[:20])


def test_client_that_sends_half_a_body_and_waits_is_told_in_the_end(server: Any) -> None:
    with connect(server) as connection:
        connection.sendall(HEAD.format(len(ONE)).encode() + ONE[:20])
        assert post(server, ONE)[0] == 200  # nobody else waits with it
        answer = received(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"error": "The request body did not come within 2000 ms"' in answer


def test_client_that_speaks_no_http(server: Any) -> None:
    with connect(server) as connection:
        connection.sendall(b"\x16\x03\x01 this is TLS, or nothing at all\r\n\r\n")
        assert received(connection).startswith(b"HTTP/1.1 400 ")


def test_hundred_megabytes_are_refused(server: Any) -> None:
    megabyte = b"[" * 1024 * 1024

    def body() -> Iterator[bytes]:
        for _ in range(100):
            yield megabyte

    for headers in ({"Content-Length": str(100 * len(megabyte))}, {}):  # of known length, and in chunks
        answer = httpx.post(url(server, "sum:predict"), content=body(), headers=headers, trust_env=False, timeout=60)
        assert (answer.status_code, answer.json()) == (
            413, {"error": f"The request body is larger than {64 * 1024 * 1024} bytes"}
        )
        assert answer.headers["connection"] == "close"


def test_hundred_megabytes_over_grpc_are_refused(server: Any) -> None:
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    request = predict_pb2.PredictRequest()
    request.model_spec.name = "sum"
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.zeros([25_000_000], np.float32)))
    with grpc.insecure_channel(f"127.0.0.1:{server.flags.port}") as channel, pytest.raises(grpc.RpcError) as caught:
        prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=60)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_ten_thousand_rows_are_answered(server: Any) -> None:
    rows = json.dumps({"signature_name": "one", "instances": [[1, 2]] * 10_000}).encode()
    status, answer = post(server, rows)
    assert (status, answer["predictions"]) == (200, [21.0] * 10_000)


def test_far_too_many_rows_are_refused(server: Any) -> None:
    rows = json.dumps({"signature_name": "one", "instances": [[1, 2]] * 100_001}).encode()
    assert post(server, rows) == (400, {"error": "Task size 100001 is larger than --row_limit=100000"})


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_deep_json_is_refused(server: Any, opening: bytes) -> None:
    status, answer = post(server, b'{"inputs": ' + opening * 1_000_000)
    assert status == 400 and "JSON" in answer["error"]
    closed = b'{"signature_name": "one", "inputs": ' + b"[" * 50_000 + b"1" + b"]" * 50_000 + b"}"
    assert post(server, closed)[0] == 400


def test_invalid_utf8(server: Any) -> None:
    assert post(server, b"\xff\xfe{")[0] == 400
    assert post(server, b'{"inp\xffuts": [[1, 2]]}')[0] == 400
    # In a string it is a byte like any other, as it is to the real server.
    body = b'{"signature_name": "string", "inputs": ["a\xffb"]}'
    assert post(server, body, "echo:predict") == (200, {"outputs": ["a\udcffb"]})


def test_bomb_of_gzip_is_refused(server: Any) -> None:
    import gzip

    bomb = gzip.compress(b" " * 100_000_000, 1)
    assert len(bomb) < 1_000_000
    status, answer = post(server, bomb, headers={"content-encoding": "gzip"})
    assert status == 413 and "larger than" in answer["error"]


def test_clients_that_cancel_over_grpc(server: Any) -> None:
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "sum", "one"
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.ones([50_000, 2], np.float32)))
    with grpc.insecure_channel(f"127.0.0.1:{server.flags.port}") as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        for _ in range(30):
            stub.Predict.future(request, timeout=30).cancel()


def test_tensor_that_claims_to_be_huge_is_refused(server: Any) -> None:
    """A few bytes on the wire, whose last value stands for all the rest."""
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "echo", "float32"
    request.inputs["v"].dtype = 1
    request.inputs["v"].float_val.append(1.0)
    request.inputs["v"].tensor_shape.dim.add(size=2**39)
    with grpc.insecure_channel(f"127.0.0.1:{server.flags.port}") as channel, pytest.raises(grpc.RpcError) as caught:
        prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=60)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


# Versions that come and go under load


class Load:
    """Clients over both ports that ask until told to stop; `failures` and the versions that answered."""

    def __init__(self, made: Any, clients: int = 2) -> None:
        self.asked = 0
        self.failures: List[BaseException] = []
        self.scores: Set[Tuple[Any, float]] = set()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        transports = [partial(GrpcTransport, "127.0.0.1", made.flags.port),
                      partial(RestTransport, "127.0.0.1", made.flags.rest_api_port)]
        self._threads = [threading.Thread(target=self._ask, args=(each,)) for each in transports * clients]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, transport: Callable[[], Any]) -> None:
        with Client(transport()) as asking:
            while not self._stop.is_set():
                try:
                    answer = asking.predict("sum", ROW)
                    with self._lock:
                        self.scores.add((answer.version, float(answer.outputs["score"][0])))
                except Exception as error:  # noqa: BLE001  (any failure at all is what the tests look for)
                    self.failures.append(error)
                    return
                finally:
                    with self._lock:
                        self.asked += 1


def _serves(made: Any, version: int) -> bool:
    told = dict(states(made))
    return told.get(version) == "AVAILABLE" and list(told.values()).count("AVAILABLE") == 1


@pytest.mark.parametrize("batched", [False, True])
def test_thousand_requests_during_five_reloads_and_none_is_lost(
    copy_of: Callable[[str], Path], other_sum: Path, batched: bool
) -> None:
    base = copy_of("sum")
    with running(model_name="sum", model_base_path=str(base), enable_batching=batched) as made, Load(made) as load:
        for version in range(4, 9):
            already = load.asked
            publish(other_sum if version % 2 == 0 else base / "3", base / str(version))
            wait_until(partial(_serves, made, version))
            wait_until(lambda: load.asked >= already + 200)  # noqa: B023
    assert load.failures == []
    assert load.asked >= 1000
    # gRPC tells the version, and each version answered with its own score.
    told = {each for each in load.scores if each[0] is not None}
    assert told == {(3, 6.0), (4, 106.0), (5, 6.0), (6, 106.0), (7, 6.0), (8, 106.0)}


def test_version_deleted_while_it_serves(copy_of: Callable[[str], Path], other_sum: Path) -> None:
    base = copy_of("sum")
    publish(other_sum, base / "4")
    with running(model_name="sum", model_base_path=str(base)) as made, Load(made) as load:
        wait_until(lambda: load.asked > 50)
        shutil.rmtree(base / "4")
        wait_until(partial(_serves, made, 3))
        already = load.asked
        wait_until(lambda: load.asked > already + 50)
    assert load.failures == []
    assert {each for each in load.scores if each[0] is not None} == {(4, 106.0), (3, 6.0)}


def _truncated(version: Path) -> None:
    file = version / "variables" / "variables.data-00000-of-00001"
    file.write_bytes(file.read_bytes()[:-3])


def _garbage(version: Path) -> None:
    (version / "saved_model.pb").write_bytes(os.urandom(1000))


def _nothing(version: Path) -> None:
    shutil.rmtree(version)
    version.mkdir()


def _half_a_graph(version: Path) -> None:
    file = version / "saved_model.pb"
    file.write_bytes(file.read_bytes()[:5000])


def _no_warm_up(version: Path) -> None:
    (version / "assets.extra").mkdir(exist_ok=True)
    (version / "assets.extra" / "tf_serving_warmup_requests").write_bytes(os.urandom(1000))


@pytest.mark.parametrize("spoil", [_truncated, _garbage, _nothing, _half_a_graph, _no_warm_up])
def test_corrupt_new_version_under_load(
    copy_of: Callable[[str], Path], other_sum: Path, spoil: Callable[[Path], None]
) -> None:
    base = copy_of("sum")
    with running(model_name="sum", model_base_path=str(base)) as made, Load(made, clients=1) as load:
        shutil.copytree(other_sum, base / "work-4")
        spoil(base / "work-4")
        (base / "work-4").rename(base / "4")
        wait_until(lambda: (4, "END") in states(made))
        already = load.asked
        wait_until(lambda: load.asked > already + 20)
        error = made.models.status("sum", 4)[0].error
    assert error is not None and error.message
    assert load.failures == [] and {each[1] for each in load.scores} == {6.0}


def test_memory_is_flat_over_a_hundred_reloads(copy_of: Callable[[str], Path], other_sum: Path) -> None:
    from tensorflow_serving.apis import model_management_pb2, model_service_pb2_grpc

    if not Path("/proc/self/statm").exists():
        pytest.skip("no /proc on this system")
    base = copy_of("sum")
    publish(other_sum, base / "4")
    flags = {"model_name": "sum", "model_base_path": str(base), "enable_batching": True}

    def reload(version: int) -> None:
        request = model_management_pb2.ReloadConfigRequest()
        config = request.config.model_config_list.config.add(
            name="sum", base_path=str(base), model_platform="tensorflow"
        )
        config.model_version_policy.specific.versions.append(version)
        with grpc.insecure_channel(f"127.0.0.1:{made.flags.port}") as channel:
            model_service_pb2_grpc.ModelServiceStub(channel).HandleReloadConfigRequest(request, timeout=60)
        wait_until(partial(_serves, made, version))
        assert score(asking, version) == (106.0 if version == 4 else 6.0)

    def reloaded(times: int) -> int:
        for turn in range(times):
            reload(3 + turn % 2)
        gc.collect()
        _give_back()
        return _resident()

    with running(**flags) as made, client(made) as asking:
        first, last = reloaded(20), reloaded(100)
    assert last - first < 20e6  # one session that is never closed is about 2 MB, so a hundred of them 200 MB


def _give_back() -> None:
    """Lets the allocator hand back what is free: each loading thread may leave it an arena, in no particular order."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# Ends


@pytest.mark.parametrize("batched", [False, True])
def test_end_answers_what_was_taken_and_takes_no_more(model_folder: Path, gate: Any, batched: bool) -> None:
    flags = {"model_name": "sum", "model_base_path": str(model_folder / "sum"), "enable_batching": batched}
    with running(**flags) as made, client(made) as asking, ThreadPoolExecutor(9) as threads:
        asking.predict("sum", ROW)  # knows the contract now
        gate.clear()
        over_rest = [threads.submit(post, made, ONE) for _ in range(4)]
        over_grpc = [threads.submit(asking.predict, "sum", ROW) for _ in range(4)]
        wait_until(lambda: made.models.status("sum")[0].users == 8)
        ending = threads.submit(made.close)
        wait_until(lambda: not _answers(made.flags.rest_api_port))
        assert not ending.done()
        assert made.models.status("sum")[0].users == 8
        gate.set()
        assert [each.result(30) for each in over_rest] == [(200, {"outputs": [21.0]})] * 4
        assert [each.result(30).outputs["score"][0] for each in over_grpc] == [6.0] * 4
        ending.result(30)
        assert made.models._models == {}


def test_end_under_load_is_quick(copy_of: Callable[[str], Path]) -> None:
    base = copy_of("sum")
    with running(model_name="sum", model_base_path=str(base), enable_batching=True) as made:
        with Load(made) as load:
            wait_until(lambda: load.asked > 100)
            started = time.monotonic()
            made.close()
            assert time.monotonic() - started < 8
        assert load.failures  # the clients did find out


def test_killed_and_started_again(model_folder: Path) -> None:
    """Nothing stays behind that keeps the next one from the same ports, and its client need not be made anew."""
    port, rest_port = free_port(), free_port()
    command = [sys.executable, "-m", "serving.embedded", f"--port={port}", f"--rest_api_port={rest_port}",
               "--model_name=sum", f"--model_base_path={model_folder / 'sum'}", "--enable_batching"]
    root = Path(__file__).resolve().parent.parent
    processes: List[subprocess.Popen[bytes]] = []

    def begin() -> None:
        processes.append(subprocess.Popen(command, cwd=root, stderr=subprocess.DEVNULL))
        wait_until(lambda: processes[-1].poll() is not None or _answers(rest_port), 120)
        assert processes[-1].poll() is None

    asking = Client(GrpcTransport("127.0.0.1", port))
    try:
        begin()
        assert score(asking) == 6.0
        with ThreadPoolExecutor(4) as threads:
            busy = [threads.submit(_ask_until_it_is_gone, rest_port) for _ in range(4)]
            time.sleep(0.3)
            processes[-1].send_signal(signal.SIGKILL)
            assert processes[-1].wait(30) == -signal.SIGKILL
            assert all(each.result(30) > 0 for each in busy)
        begin()
        assert score(asking) == 6.0
    finally:
        asking.close()
        for process in processes:
            process.kill()
            process.wait(30)


def _answers(rest_port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{rest_port}/v1/models/sum", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def _ask_until_it_is_gone(rest_port: int) -> int:
    """How many answers came before the server died."""
    found = 0
    with httpx.Client(trust_env=False, timeout=10) as session:
        while True:
            try:
                answer = session.post(f"http://127.0.0.1:{rest_port}/v1/models/sum:predict", content=ONE)
            except httpx.TransportError:
                return found
            assert answer.json() == {"outputs": [21.0]}
            found += 1


