"""What a model server adds to the model: requests a second and latency over gRPC and REST, against the call in process.

One model, three requests: a row; a user with many candidates, asked as `rank`; the same candidates tiled as rows of
`serving_default`. Each server is a process of its own. Rounds alternate between all ways, so that all meet the same
load of the machine; percentiles are over the requests of all rounds.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np
import tensorflow as tf

from pipeline import inference, requests, saved_models
from pipeline.builder import Built
from pipeline.gates import tile
from pipeline.items import load as load_items
from pipeline.prepared import Prepared
from pipeline.rows import Rows
from serving.client.client import Client
from serving.client.grpc_transport import AsyncGrpcTransport, GrpcTransport
from serving.client.rest_transport import AsyncRestTransport
from serving.client.transport import AsyncTransport, Target
from serving.load import run, sources
from serving.load.plan import Closed, Plan
from serving.load.sources import Shot
from serving.requests import Request
from tests.benchmarks import model_server
from tests.benchmarks.model_server import ModelServer

IN_PROCESS = "in process"
ROW = "one row"
Round = Callable[[int], Tuple[List[float], float, int]]
"""Asks so many times: milliseconds of each answer, seconds of all, failures."""


@dataclass(frozen=True)
class Measurement:
    """One way to ask one thing."""

    request: str
    server: str
    transport: str
    callers: int
    requests_per_second: float
    """Median of the rounds."""
    p50_milliseconds: float
    p99_milliseconds: float
    overhead_milliseconds: Optional[float]
    """Of the median, over the call in process; None with several callers, who wait for each other too."""
    ratio: float
    """Median over the rounds of requests a second, over those in process."""
    failed: int
    rounds: int


def measure(
    built: Built, prepared: Prepared, folder: Path, candidates: int = 300, callers: int = 16, asked: int = 100,
    rounds: int = 5,
) -> List[Measurement]:
    """`asked` requests in each way and round. AssertionError if a server's answers are not those of the model."""
    model = built.experiment.model
    export = folder / model / "1"
    signatures = inference.signatures(built, None)
    saved_models.save(signatures, built.encoder, export)
    questions = _questions(built, prepared, signatures, candidates)
    found: List[Measurement] = []
    with ExitStack() as stack:
        servers = [
            stack.enter_context(model_server.serving(name, command, export, folder, batching))
            for name, command in model_server.commands() for batching in (False, True)
        ]
        loaded = tf.saved_model.load(str(export))
        for request, (signature, inputs) in questions.items():
            local = _local(loaded.signatures[signature], inputs)
            ways: Dict[Tuple[str, str, int], Round] = {(IN_PROCESS, "", 1): local}
            for server in servers:
                # Batching is for many callers; alone, a request waits for companions who never come.
                counts = (callers,) if server.batching else (1, callers)
                if request == ROW or not server.batching:
                    _check(server, Target(model, signature), inputs, loaded.signatures[signature])
                    ways.update(_ways(server, Target(model, signature), inputs, counts if request == ROW else (1,)))
            found += _measured(request, ways, asked, rounds)
    return found


def _questions(
    built: Built, prepared: Prepared, signatures: Sequence[Any], candidates: int
) -> Dict[str, Tuple[str, Rows]]:
    by_name = {signature.name: signature for signature in signatures}
    rank, pointwise = by_name["rank"], by_name["serving_default"]
    row = requests.sample(built, prepared, 1)
    ranked = requests.request(rank, built, row, load_items(prepared), candidates=candidates)
    return {
        ROW: ("serving_default", requests.request(pointwise, built, row, None)),
        f"rank, {candidates} candidates": ("rank", ranked),
        f"{candidates} tiled rows": ("serving_default", tile(ranked, rank.described(), pointwise.described())),
    }


def _ways(
    server: ModelServer, target: Target, inputs: Rows, callers: Sequence[int]
) -> Dict[Tuple[str, str, int], Round]:
    return {
        (server.name, transport, count): _over(server, transport, target, inputs, count)
        for transport in ("gRPC", "REST") for count in callers
    }


def _over(server: ModelServer, transport: str, target: Target, inputs: Rows, callers: int) -> Round:
    def opening() -> AsyncTransport:
        if transport == "gRPC":
            return AsyncGrpcTransport(port=server.port)
        return AsyncRestTransport(port=server.rest_port)

    with Client(GrpcTransport(port=server.port), deadline_seconds=60) as client:
        shots: List[Shot] = sources.shots(opening(), sources.samples(client, target, [Request(inputs)]))

    def ask(times: int) -> Tuple[List[float], float, int]:
        plan = Plan(Closed(callers), seconds=600, requests=times, warm_up_seconds=0.2, deadline_seconds=60)
        samples = run.gather(opening, shots, plan)
        good = [i for i, outcome in enumerate(samples.outcome) if outcome == 0]
        return [1e3 * (samples.done[i] - samples.sent[i]) for i in good], max(samples.done), times - len(good)

    return ask


def _local(function: Any, inputs: Rows) -> Round:
    tensors = {name: tf.constant(cells) for name, cells in inputs.items()}
    function(**tensors)

    def ask(times: int) -> Tuple[List[float], float, int]:
        taken: List[float] = []
        start = time.perf_counter()
        for _ in range(times):
            before = time.perf_counter()
            {name: answer.numpy() for name, answer in function(**tensors).items()}
            taken.append(1e3 * (time.perf_counter() - before))
        return taken, time.perf_counter() - start, 0

    return ask


def _check(server: ModelServer, target: Target, inputs: Rows, function: Any) -> None:
    expected = function(**{name: tf.constant(cells) for name, cells in inputs.items()})
    with Client(GrpcTransport(port=server.port), deadline_seconds=60) as client:
        answer = client.predict(target.model, inputs, target.signature).outputs
    for name, scores in answer.items():
        np.testing.assert_allclose(scores, expected[name].numpy(), rtol=1e-4, atol=1e-5, err_msg=server.name)


def _measured(request: str, ways: Dict[Tuple[str, str, int], Round], asked: int, rounds: int) -> List[Measurement]:
    taken: Dict[Tuple[str, str, int], List[float]] = {way: [] for way in ways}
    rates: Dict[Tuple[str, str, int], List[float]] = {way: [] for way in ways}
    failed = dict.fromkeys(ways, 0)
    for _ in range(rounds):
        for way, ask in ways.items():
            milliseconds, seconds, failures = ask(asked)
            taken[way] += milliseconds
            rates[way].append(len(milliseconds) / seconds)
            failed[way] += failures
    local: Tuple[str, str, int] = (IN_PROCESS, "", 1)
    base = float(np.median(taken[local]))
    return [
        Measurement(
            request, *way, requests_per_second=float(np.median(rates[way])),
            p50_milliseconds=float(np.median(taken[way])), p99_milliseconds=float(np.quantile(taken[way], 0.99)),
            overhead_milliseconds=float(np.median(taken[way])) - base if way[2] == 1 else None,
            ratio=float(np.median(np.array(rates[way]) / np.array(rates[local]))), failed=failed[way], rounds=rounds,
        )
        for way in ways
    ]


def table(measured: Sequence[Measurement]) -> List[List[str]]:
    """Rows of text, the head first."""
    head = ["request", "server", "transport", "callers", "requests/s", "p50 ms", "p99 ms", "overhead ms", "ratio"]
    return [
        [*head, "failed"],
        *(
            [
                m.request, m.server, m.transport, str(m.callers), f"{m.requests_per_second:,.0f}",
                f"{m.p50_milliseconds:.2f}", f"{m.p99_milliseconds:.2f}",
                "" if m.overhead_milliseconds is None else f"{m.overhead_milliseconds:.2f}", f"{m.ratio:.2f}",
                str(m.failed),
            ]
            for m in measured
        ),
    ]
