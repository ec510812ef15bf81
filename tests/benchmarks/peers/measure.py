"""Runs the two sides of a comparison in turn, never at once: each in a process of its own environment."""

from __future__ import annotations

import math
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping

from tests.benchmarks.peers.comparisons import LIMITS, Comparison, Side
from tests.benchmarks.peers.process import Process, WorkerFailed
from tests.benchmarks.peers.results import Result, SideRounds, result
from tests.benchmarks.peers.work import Settings

WARM_UP = 2
"""Rounds that are not counted: the first traces, the second still finds pages and caches cold."""
Told = Callable[[str], None]


class Interrupted(Exception):
    """Ctrl-C; `found` is what there was until then."""

    def __init__(self, found: List[Result]) -> None:
        super().__init__("interrupted")
        self.found = found


def limits(pythons: Mapping[str, Path], trials: int) -> Dict[str, float]:
    """What the machine can do at most. Raises WorkerFailed."""
    with tempfile.TemporaryDirectory(prefix="signet-peers-") as folder, ExitStack() as stack:
        process = stack.enter_context(Process(pythons[LIMITS.environment], Path(folder) / "limits.log"))
        found: Dict[str, float] = process.prepare(LIMITS.what, {"trials": trials})["facts"]
        return found


def compare(comparison: Comparison, pythons: Mapping[str, Path], rounds: int, tell: Told) -> List[Result]:
    """Measures one comparison: its time, and its bytes where requests are compared.

    Raises WorkerFailed, and Interrupted with what is known by then.
    """
    with tempfile.TemporaryDirectory(prefix="signet-peers-") as folder, ExitStack() as stack:
        place = Path(folder)
        settings = {
            **comparison.settings,
            "peer_export": str(place / "peer" / "1"), "signet_export": str(place / "signet" / "1"),
        }
        taken = [Rounds(comparison.peer), Rounds(comparison.signet)]
        try:
            for side in comparison.before:
                tell(f"preparing {side.name}'s export")
                with Process(pythons[side.environment], place / "export.log") as process:
                    process.prepare(side.what, settings)
            for number, each in enumerate(taken):
                tell(f"preparing {each.side.name}")
                python = pythons[each.side.environment]
                each.start(stack.enter_context(Process(python, place / f"side-{number}.log")), settings)
            alternate(taken, rounds, tell)
        except KeyboardInterrupt as stop:
            raise Interrupted(results_of(comparison, taken, rounds)) from stop
        return results_of(comparison, taken, rounds)


class Rounds:
    """One side and what it has measured so far."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self.facts: Dict[str, Any] = {}
        self._process: Any = None
        self._said: List[Dict[str, float]] = []

    def start(self, process: Any, settings: Settings) -> None:
        self._process = process
        self.facts = process.prepare(self.side.what, settings)["facts"]

    def run(self, counts: bool) -> None:
        """Raises WorkerFailed for a value that is no number: what is fast and wrong is not measured."""
        said = self._process.round()
        if not math.isfinite(said["value"]):
            raise WorkerFailed(f"{self.side.name} computed {said['value']}")
        if counts:
            self._said.append(said)

    def told(self) -> SideRounds:
        columns = {name: tuple(each[name] for each in self._said) for name in ("seconds", "cpu_seconds", "value")}
        return SideRounds(
            self.side.name, columns["seconds"], columns["cpu_seconds"], columns["value"], self.facts
        )


def alternate(sides: List[Rounds], rounds: int, tell: Told) -> None:
    """Every round runs both sides, in an order that turns, so that neither always has the other's caches behind it."""
    for number in range(WARM_UP + rounds):
        counts = number >= WARM_UP
        tell(f"round {number - WARM_UP + 1} of {rounds}" if counts else "warming up")
        for side in sides if number % 2 == 0 else reversed(sides):
            side.run(counts)


def results_of(comparison: Comparison, sides: List[Rounds], planned: int) -> List[Result]:
    """Of the rounds that both have; a second one for the bytes of their requests."""
    peer, signet = (side.told() for side in sides)
    timed = result(comparison, peer, signet, planned)
    found = [] if timed is None else [timed]
    if timed is not None and "bytes" in peer.facts and "bytes" in signet.facts:
        found.append(bytes_of(comparison, peer, signet, timed))
    return found


def bytes_of(comparison: Comparison, peer: SideRounds, signet: SideRounds, timed: Result) -> Result:
    """The sizes of the requests, which no round changes."""
    ratio = peer.facts["bytes"] / signet.facts["bytes"]
    sides = [
        replace(each, seconds=(each.facts["bytes"],), cpu_seconds=(), values=(), facts={}) for each in (peer, signet)
    ]
    return replace(
        timed, name=comparison.name.replace("grpc", "bytes", 1), title=f"{comparison.title}: bytes of the request",
        unit="bytes", goal=comparison.bytes_goal, peer=sides[0], signet=sides[1], ratio=ratio,
        quartiles=(ratio, ratio), cpu_ratio=None, best_ratio=ratio,
        note=bytes_note(peer.facts, signet.facts),
    )


def bytes_note(peer: Dict[str, Any], signet: Dict[str, Any]) -> str:
    """How the requests are written, and what they would be with narrower ids at the peer."""
    note = "serialized PredictRequest with tensor_content, ids int64 on both sides"
    if "bytes_int32" not in peer:
        return note
    ratio = peer["bytes_int32"] / signet["bytes"]
    return f"{note}; with int32 ids, its default, the peer's request has {ratio:.1f} times Signet's bytes"
