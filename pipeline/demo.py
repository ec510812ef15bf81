"""The whole path in one go: data, two models, evaluation, gated exports, lint, a server, and ten films for one user."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, List, Optional, Tuple

import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from pipeline import verbs
from pipeline.evaluation.results import Protocol
from pipeline.places import Places
from pipeline.prepared import Prepared
from pipeline.recommend import Recommended, recommend
from serving.client.errors import ClientError
from serving.client.grpc_transport import GrpcTransport
from serving.client.rest_transport import RestTransport
from serving.client.transport import Target, Transport
from signatures import lint
from signatures.errors import UsageError

MODELS = ("two_tower", "din")
START_SECONDS = 120
"""How long a server may take until both models are there."""


@dataclass(frozen=True)
class Ports:
    """Of one server on this machine."""

    grpc: int
    rest: int


def demo(places: Places, dataset: Optional[str], user: Optional[str], settings: Tuple[str, ...] = ()) -> None:
    """Runs everything and prints what came of it. Raises UsageError for what the user can mend."""
    console = Console()
    console.rule("1 data")
    prepared = places.prepared(dataset, console)
    name = str(prepared.folder)
    console.rule("2 training")
    for model in MODELS:
        verbs.train(places, model, name, None, settings, restart=False)
    console.rule("3 evaluation")
    verbs.evaluate(places, MODELS, name, "test", Protocol(full_ranking=False))
    console.rule("4 export")
    for model in MODELS:
        verbs.export(places, model, name, (), allow_breaking=False)
    console.rule("5 lint")
    for model in MODELS:
        findings = lint.lint(places.exports / model)
        console.print(f"{places.exports / model}: {len(findings)} findings")
        for finding in findings:
            console.print(f"  {finding.severity} {finding.rule} {finding.message}")
    console.rule("6 serving")
    who = user if user is not None else someone(prepared)
    with served(places, console) as ports:
        over_grpc, over_rest = (ten_films(each, prepared, places, who) for each in transports(ports))
    console.rule(f"7 ten films for user {who}")
    _print(over_grpc, over_rest, console)
    console.rule("8 where everything is")
    for what, path in whereabouts(places, prepared):
        console.print(f"{what:<22} {path}", soft_wrap=True)


def ten_films(transport: Transport, prepared: Prepared, places: Places, user: str) -> List[Recommended]:
    return recommend(transport, prepared, places.exports, user, 10)


def transports(ports: Ports) -> Tuple[Transport, Transport]:
    """gRPC's and REST's."""
    return GrpcTransport("127.0.0.1", ports.grpc), RestTransport("127.0.0.1", ports.rest)


def someone(prepared: Prepared) -> str:
    """A user to show things with: the first of the data."""
    return str(pq.read_table(prepared.users, columns=[str(prepared.schema.roles.user)])[0][0])


@contextmanager
def served(places: Places, console: Console) -> Iterator[Ports]:
    """`signet serve` on free ports while inside, both models available."""
    ports = Ports(*free_ports())
    command = [sys.executable, "-m", "pipeline.entry", "serve", "--exports", str(places.exports)]
    for model in MODELS:
        command += ["--model", model]
    command += ["--port", str(ports.grpc), "--rest-port", str(ports.rest)]
    log = places.runs / "demo_server.log"
    with log.open("w", encoding="utf-8") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env={**os.environ})
    try:
        with console.status("the server loads both models"):
            _wait(process, ports, log)
        console.print(log.read_text(encoding="utf-8").splitlines()[0])
        console.print(f"gRPC on 127.0.0.1:{ports.grpc}, REST on 127.0.0.1:{ports.rest}, log in {log}")
        yield ports
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen, ports: Ports, log: Path) -> None:
    transport = GrpcTransport("127.0.0.1", ports.grpc)
    deadline = time.monotonic() + START_SECONDS
    try:
        while not all(_available(transport, model) for model in MODELS):
            if process.poll() is not None or time.monotonic() > deadline:
                last = " ".join(log.read_text(encoding="utf-8").split()[-40:])
                raise UsageError(f"the server did not start ({last}); its log is {log}")
            time.sleep(0.3)
    finally:
        transport.close()


def _available(transport: Transport, model: str) -> bool:
    try:
        return any(told.state == "AVAILABLE" for told in transport.status(Target(model), 2.0))
    except ClientError:
        return False


def free_ports() -> Tuple[int, int]:
    """Two ports that nothing listens on at the moment."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1]), int(other.getsockname()[1])


def whereabouts(places: Places, prepared: Prepared) -> List[Tuple[str, Path]]:
    """What the demo made, and where."""
    runs = places.runs / prepared.folder.resolve().name
    found = [("prepared data", prepared.folder), ("evaluation page", runs / "evaluation_test.html")]
    found += [(f"{model}: run", runs / model) for model in MODELS]
    found += [(f"{model}: export", places.exports / model) for model in MODELS]
    return [*found, ("server's log", places.runs / "demo_server.log")]


def _print(over_grpc: List[Recommended], over_rest: List[Recommended], console: Console) -> None:
    table = Table("", "film", "retrieval (two_tower)", "ranking (din), gRPC", "ranking (din), REST")
    rest = {each.item: each for each in over_rest}
    for place, each in enumerate(over_grpc, start=1):
        same = rest.get(each.item)
        table.add_row(
            str(place),
            each.title or str(each.item),
            f"{each.retrieval_score:.4f}",
            f"{each.score:.6f}",
            f"{same.score:.6f}" if same else "not there",
        )
    console.print(table)
