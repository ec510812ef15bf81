"""An embedded server in the test's own process, and what tests ask of it."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, List, Optional

from serving.client.client import Client
from serving.client.grpc_transport import GrpcTransport
from serving.client.rest_transport import RestTransport
from tests.fixtures_serving import free_port

ROW = {"x": [[1.0, 2.0]], "ids": [3], "name": ["abc"]}  # scores 6 in `sum`, 106 in `other_sum`


@contextmanager
def running(**flags: Any) -> Iterator[Any]:
    """An embedded server that looks at its folders 20 times a second."""
    from serving.embedded.flags import Flags
    from serving.embedded.server import Server

    ports = {"port": free_port(), "rest_api_port": free_port()}
    server = Server(Flags(**{**ports, "file_system_poll_wait_seconds": 0.05, "max_num_load_retries": 0, **flags}))
    try:
        yield server
    finally:
        server.close()


def client(server: Any) -> Client:
    return Client(GrpcTransport("127.0.0.1", server.flags.port))


def url(server: Any, path: str = "") -> str:
    return f"http://127.0.0.1:{server.flags.rest_api_port}/v1/models/{path}"


def states(server: Any, model: str = "sum") -> List[Any]:
    with Client(RestTransport("127.0.0.1", server.flags.rest_api_port)) as asking:
        return [(told.version, told.state) for told in asking.status(model)]


def score(asking: Client, version: Optional[int] = None) -> float:
    return float(asking.predict("sum", ROW, version=version).outputs["score"][0])


def publish(source: Path, target: Path) -> None:
    """Copies beside the target and renames, as every export does: the server never sees half a version."""
    shutil.copytree(source, target.with_name(f"work-{target.name}"))
    target.with_name(f"work-{target.name}").rename(target)
