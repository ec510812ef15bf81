"""`rank` and `rank_items` end to end: a request over gRPC to a model server and its scores back, against tiled rows.

The server is a process of its own, with the signatures of `tests.benchmarks.rank` in one export. Rounds alternate
between the ways; a request includes its encoding and the decoding of its answer.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np

from pipeline import saved_models
from pipeline.builder import Built
from pipeline.prepared import Prepared
from pipeline.rows import Rows
from serving.client.client import Client
from serving.client.grpc_transport import GrpcTransport
from tests.benchmarks import model_server, rank


@dataclass(frozen=True)
class Measurement:
    """One signature behind one server. Times are medians over the rounds; above 1, the signature is better."""

    model: str
    server: str
    signature: str
    candidates: int
    history: Optional[int]
    """Cells of each sequence at most; None for all there are."""
    milliseconds: float
    tiled_ratio: float
    """Median of the rounds' ratios, tiled rows of our own `serving_default` over this."""
    tiled_quartiles: Tuple[float, float]
    common_ratio: float
    """The same over the tiled rows of the model as it is commonly built."""
    common_quartiles: Tuple[float, float]
    rounds: int


def measure(
    built: Built, prepared: Prepared, folder: Path, candidates: int = 300, history: Optional[int] = None,
    rounds: int = 15,
) -> List[Measurement]:
    """On every model server there is here. AssertionError if two ways disagree."""
    model, ways = built.experiment.model, rank.signatures(built, prepared)
    export = folder / f"history_{history}" / model / "1"
    saved_models.save(tuple(ways.values()), built.encoder, export)
    asked = rank.questions(built, prepared, ways, candidates, history)
    measured = []
    for name, command in model_server.commands():
        with ExitStack() as stack:
            server = stack.enter_context(model_server.serving(name, command, export, folder))
            client = stack.enter_context(Client(GrpcTransport(port=server.port), deadline_seconds=60))
            seconds = _rounds(client, model, asked, rounds)
        measured += [
            _measurement((model, name, way, candidates, history), seconds) for way in ways if way not in rank.TILED
        ]
    return measured


def _rounds(client: Client, model: str, asked: Dict[str, Rows], rounds: int) -> Dict[str, np.ndarray]:
    """Seconds of each round by signature."""
    taken: Dict[str, List[float]] = {name: [] for name in asked}
    for index in range(rank.WARM_UP + rounds):
        answers = {}
        for name, rows in asked.items():
            start = time.perf_counter()
            answers[name] = client.predict(model, rows, name).outputs
            if index >= rank.WARM_UP:
                taken[name].append(time.perf_counter() - start)
        for found in answers.values():
            for output, scores in answers["common"].items():
                np.testing.assert_allclose(found[output].reshape(-1), scores, atol=1e-5)
    return {name: np.array(seconds) for name, seconds in taken.items()}


def _measurement(
    what: Tuple[str, str, str, int, Optional[int]], seconds: Dict[str, np.ndarray]
) -> Measurement:
    own = seconds[what[2]]
    tiled, common = (np.quantile(seconds[base] / own, [0.25, 0.5, 0.75]).tolist() for base in rank.TILED)
    return Measurement(
        *what, milliseconds=1e3 * float(np.median(own)), tiled_ratio=tiled[1], tiled_quartiles=(tiled[0], tiled[2]),
        common_ratio=common[1], common_quartiles=(common[0], common[2]), rounds=len(own),
    )


def table(measured: Sequence[Measurement]) -> List[List[str]]:
    """Rows of text, the head first."""
    head = ["model", "server", "signature", "N", "history", "ms", "tiled ratio", "common ratio"]
    return [head, *(_cells(one) for one in measured)]


def _cells(one: Measurement) -> List[str]:
    return [
        one.model, one.server, one.signature, str(one.candidates), "" if one.history is None else str(one.history),
        f"{one.milliseconds:.2f}",
        f"{one.tiled_ratio:.2f} [{one.tiled_quartiles[0]:.2f}-{one.tiled_quartiles[1]:.2f}]",
        f"{one.common_ratio:.2f} [{one.common_quartiles[0]:.2f}-{one.common_quartiles[1]:.2f}]",
    ]
