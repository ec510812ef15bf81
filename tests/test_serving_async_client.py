"""The client for asyncio: the other one's answers and errors, many calls at once, deadlines that hold."""

from __future__ import annotations

import asyncio
import gzip
import socket
import threading
from typing import Any, Callable, Dict, Iterator, List

import httpx
import numpy as np
import pytest

from serving.client import rest_transport
from serving.client.async_client import AsyncClient
from serving.client.client import Client
from serving.client.errors import DeadlineExceeded, NotFound, Refused, RequestError, ServerFailed, Unavailable
from serving.client.grpc_transport import AsyncGrpcTransport, GrpcTransport
from serving.client.rest_transport import AsyncRestTransport, RestTransport
from serving.client.retry import Retry
from serving.client.transport import AsyncTransport, Target
from tests.fixtures_serving import ECHOED, Address, free_port, same

ROW: Dict[str, Any] = {"x": [[1, 2]], "ids": [3], "name": ["abc"]}
Opening = Callable[[], AsyncTransport]


@pytest.fixture(params=["grpc", "rest"])
def opening(address: Address, request: pytest.FixtureRequest) -> Opening:
    if request.param == "grpc":
        return lambda: AsyncGrpcTransport("127.0.0.1", address.port)
    return lambda: AsyncRestTransport("127.0.0.1", address.rest_port)


def test_one_loop_asks_many_at_once(opening: Opening) -> None:
    async def ask() -> List[float]:
        async with AsyncClient(opening()) as client:
            calls = (client.predict("sum", {**ROW, "ids": [number]}) for number in range(100))
            return [float(answer.outputs["score"][0]) for answer in await asyncio.gather(*calls)]

    assert asyncio.run(ask()) == [3.0 + number for number in range(100)]


@pytest.mark.parametrize("dtype", [dtype for dtype in ECHOED if dtype not in ("float16", "bfloat16", "uint16")])
def test_sync_and_async_give_the_same(opening: Opening, address: Address, dtype: str) -> None:
    sent = np.array([b"\xff", b""] if dtype == "string" else [0, 1], object if dtype == "string" else dtype)

    async def ask() -> np.ndarray:
        async with AsyncClient(opening()) as client:
            return (await client.predict("echo", {"v": sent}, dtype)).outputs["v"]

    with Client(GrpcTransport("127.0.0.1", address.port)) as client:
        expected = client.predict("echo", {"v": sent}, dtype).outputs["v"]
    assert same(asyncio.run(ask()), expected) and same(expected, sent)


def test_contract_status_and_errors(opening: Opening) -> None:
    async def ask() -> None:
        async with AsyncClient(opening()) as client:
            assert set((await client.contract(Target("sum"))).inputs) == {"x", "ids", "name"}
            told, = await client.status("sum")
            assert (told.version, told.state) == (3, "AVAILABLE")
            with pytest.raises(NotFound, match=r"Servable not found for request: Latest\(nope\)"):
                await client.predict("nope", {})
            with pytest.raises(Refused, match="Unrecognized servable version label"):
                await client.predict("sum", ROW, label="nolabel")
            with pytest.raises(RequestError, match="needs ids, name"):
                await client.predict("sum", {"x": [[1, 2]]})
        with pytest.raises(RequestError, match="was closed; open another client"):
            await client.predict("sum", ROW)

    asyncio.run(ask())


def test_nobody_there() -> None:
    async def ask(transport: AsyncTransport, port: int) -> None:
        async with AsyncClient(transport, retry=Retry(attempts=1)) as client:
            with pytest.raises(Unavailable, match=f"{port} is not reachable"):
                await client.status("sum")

    port = free_port()
    asyncio.run(ask(AsyncGrpcTransport("127.0.0.1", port), port))
    asyncio.run(ask(AsyncRestTransport("127.0.0.1", port), port))


def test_other_tasks_go_on_while_one_waits_for_its_repeat() -> None:
    order: List[str] = []

    class Busy:
        async def status(self, target: Target, seconds: float) -> Any:
            order.append("asked")
            if len(order) == 1:
                raise Unavailable("busy")
            return []

    async def other() -> None:
        order.append("other")

    async def ask() -> None:
        transport: Any = Busy()
        client = AsyncClient(transport, retry=Retry(first_pause_seconds=0.2))
        await asyncio.gather(client.status("m"), other())

    asyncio.run(ask())
    assert order == ["asked", "other", "asked"]


@pytest.fixture
def trickling() -> Iterator[int]:
    """The port of a server that promises 1,000 bytes and sends one every 50 ms."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    ending = threading.Event()

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                while not ending.wait(0.05):
                    try:
                        connection.sendall(b" ")
                    except OSError:
                        break

    thread = threading.Thread(target=serve)
    thread.start()
    yield listening.getsockname()[1]
    ending.set()
    # Closing does not wake accept on every system; a last visitor does.
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join()


def test_a_server_that_trickles_meets_the_deadline(trickling: int) -> None:
    """Each of its bytes comes in time; all of them would take 50 s."""
    client = Client(RestTransport(port=trickling), deadline_seconds=0.3)
    with client, pytest.raises(DeadlineExceeded, match=r"did not answer within 0\.3 s"):
        client.status("sum")

    async def ask() -> None:
        async with AsyncClient(AsyncRestTransport(port=trickling), deadline_seconds=0.3) as asking:
            with pytest.raises(DeadlineExceeded, match=r"did not answer within 0\.3 s"):
                await asking.status("sum")

    asyncio.run(ask())


def test_connections_are_reused(embedded: Address) -> None:
    opened: List[str] = []

    class Counting(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            request.extensions["trace"] = lambda name, _: opened.append(name)
            return super().handle_request(request)

    with Client(RestTransport("127.0.0.1", embedded.rest_port, Counting())) as client:
        for _ in range(10):
            client.predict("sum", ROW)
    assert opened.count("connection.connect_tcp.started") == 1
    assert opened.count("http11.send_request_headers.started") == 11  # with the question for the contract


def test_async_connections_are_reused_and_a_broken_one_is_thrown_away(
    embedded: Address, trickling: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: List[Any] = []

    def connection() -> Any:
        made.append(opening_one())
        return made[-1]

    opening_one = rest_transport._connection
    monkeypatch.setattr(rest_transport, "_connection", connection)

    async def ask() -> None:
        async with AsyncClient(AsyncRestTransport("127.0.0.1", embedded.rest_port)) as client:
            for _ in range(3):
                await asyncio.gather(*(client.predict("sum", ROW) for _ in range(5)))
            assert len(made) == 5
            transport: Any = client.transport
            assert sorted(map(id, transport._idle)) == sorted(map(id, made))
        assert transport._idle == []
        slow = AsyncRestTransport("127.0.0.1", trickling)
        async with AsyncClient(slow, deadline_seconds=0.1) as client:
            with pytest.raises(DeadlineExceeded):
                await client.status("sum")
            assert len(made) == 6 and slow._idle == []

    asyncio.run(ask())


def test_no_proxy_of_the_environment_stands_between(embedded: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "grpc_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    for transport in (GrpcTransport("127.0.0.1", embedded.port), RestTransport("127.0.0.1", embedded.rest_port)):
        with Client(transport, retry=Retry(attempts=1)) as client:
            assert client.predict("sum", ROW).outputs["score"].tolist() == [6.0]


def test_half_precision_travels_over_grpc_and_is_refused_over_rest_before_it_is_sent(embedded: Address) -> None:
    import ml_dtypes

    for dtype, sent in (("float16", np.array([0.1, -2], np.float16)), ("uint16", np.array([1, 65535], np.uint16)),
                        ("bfloat16", np.array([0.1, -2, np.inf], ml_dtypes.bfloat16))):
        with Client(GrpcTransport("127.0.0.1", embedded.port)) as client:
            assert same(client.predict("echo", {"v": sent}, dtype).outputs["v"], sent)
            listed = sent.tolist() if dtype == "uint16" else sent.astype(np.float64).tolist()
            assert same(client.predict("echo", {"v": listed}, dtype).outputs["v"], sent)
        words = f"'v' is {dtype}, which the REST API does not take; ask over gRPC"
        client = Client(RestTransport("127.0.0.1", embedded.rest_port))
        with client, pytest.raises(RequestError, match=words):
            client.predict("echo", {"v": sent}, dtype)


def test_answers_belong_to_the_caller(embedded: Address) -> None:
    for transport in (GrpcTransport("127.0.0.1", embedded.port), RestTransport("127.0.0.1", embedded.rest_port)):
        with Client(transport) as client:
            scores = client.predict("sum", ROW).outputs["score"]
        scores *= 2
        assert scores.tolist() == [12.0]


def test_compressed_answer_is_read_and_a_broken_one_is_the_server_s_failure() -> None:
    plain = b'{"model_version_status": [{"version": "3", "state": "AVAILABLE"}]}'
    bodies = [gzip.compress(plain), b"no gzip"]
    transport = httpx.MockTransport(
        lambda _: httpx.Response(200, content=bodies.pop(0), headers={"Content-Encoding": "gzip"})
    )
    with Client(RestTransport(transport=transport)) as client:
        assert client.status("sum")[0].version == 3
        with pytest.raises(ServerFailed, match="cannot be read"):
            client.status("sum")


@pytest.mark.parametrize("host", ["a b", "::1"])
def test_hosts(host: str) -> None:
    """An IPv6 address is written in brackets; what is no host is told in one sentence."""
    if host == "::1":
        assert RestTransport(host, 1).address == "http://[::1]:1" and GrpcTransport(host, 1).address == "[::1]:1"
        return
    with pytest.raises((RequestError, Unavailable), match="is no address|not reachable"), Client(
        RestTransport(host, 1), retry=Retry(attempts=1)
    ) as client:
        client.status("sum")
