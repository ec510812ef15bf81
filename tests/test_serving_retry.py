"""Repeats: after which errors, how often, how soon, within which time; on a clock of the test's own."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any, List, Type

import numpy as np
import pytest

from serving.client.client import Client
from serving.client.contract import Contract, Tensor
from serving.client.errors import (
    ClientError,
    DeadlineExceeded,
    NotFound,
    Refused,
    RequestError,
    ServerFailed,
    Unavailable,
)
from serving.client.flow import Pause
from serving.client.grpc_transport import GrpcTransport
from serving.client.rest_transport import RestTransport
from serving.client.retry import Budget, Retry
from serving.client.session import Session
from serving.client.transport import Answer, Target
from tests.fixtures_serving import free_port

CONTRACT = Contract("m", "serving_default", {"x": Tensor("int64", (None,))}, {"y": Tensor("int64", (None,))})
DONE = Answer({"y": np.array([1])}, 1)


@dataclass
class World:
    """Runs flows on a clock that only pauses and attempts move; each attempt takes the next of `events`."""

    events: List[Any]
    took: float = 0.1
    now: float = 100.0
    given: List[float] = field(default_factory=list)
    pauses: List[float] = field(default_factory=list)

    def run(self, retry: Retry, seconds: float = 10.0, chance: float = 1.0) -> Any:
        return self.flow(Session({}, retry, lambda: self.now, lambda: chance), seconds)

    def flow(self, session: Session, seconds: float = 10.0) -> Any:
        session._contracts[Target("m")] = CONTRACT
        flow = session.predict(Target("m"), {"x": [1]}, (), seconds)
        try:
            step = next(flow)
            while True:
                if isinstance(step, Pause):
                    self.pauses.append(step.seconds)
                    self.now += step.seconds
                    step = flow.send(None)
                    continue
                came = step.operation(self)
                self.now += self.took
                step = flow.throw(came) if isinstance(came, ClientError) else flow.send(came)
        except StopIteration as end:
            return end.value

    def predict(self, target: Any, arrays: Any, outputs: Any, wanted: Any, seconds: float) -> Any:
        self.given.append(seconds)
        return self.events.pop(0)


def test_what_is_unavailable_is_asked_again_after_growing_pauses() -> None:
    world = World([Unavailable("a"), Unavailable("b"), Unavailable("c"), DONE])
    assert world.run(Retry(attempts=4, first_pause_seconds=0.2, longest_pause_seconds=0.5)) is DONE
    assert world.pauses == [0.2, 0.4, 0.5]  # doubled, and never beyond the longest
    # 10 s, less the attempts of 0.1 s and the pauses before: 10 - 0.1 - 0.2, and so on
    assert world.given == pytest.approx([10.0, 9.7, 9.2, 8.6])


def test_half_of_a_pause_is_left_to_chance() -> None:
    for chance, pause in ((0.0, 0.1), (0.5, 0.15), (1.0, 0.2)):
        world = World([Unavailable("a"), DONE])
        world.run(Retry(first_pause_seconds=0.2), chance=chance)
        assert world.pauses == pytest.approx([pause])


@pytest.mark.parametrize("error", [Refused, NotFound, ServerFailed, RequestError, DeadlineExceeded])
def test_other_errors_are_told_at_once(error: Type[ClientError]) -> None:
    world = World([error("no"), DONE])
    with pytest.raises(error):
        world.run(Retry())
    assert world.pauses == [] and world.events == [DONE]


def test_what_came_too_late_is_asked_again_only_when_told_to() -> None:
    world = World([DeadlineExceeded("late"), DONE])
    assert world.run(Retry(after_deadline=True, attempt_seconds=2.0)) is DONE
    assert world.given == [2.0, 2.0]


def test_the_last_error_is_told_when_the_attempts_are_used_up() -> None:
    world = World([Unavailable("first"), Unavailable("second"), DONE])
    with pytest.raises(Unavailable, match="second"):
        world.run(Retry(attempts=2))


def test_one_attempt_means_no_repeat() -> None:
    with pytest.raises(Unavailable):
        World([Unavailable("a"), DONE]).run(Retry(attempts=1))


def test_no_pause_goes_beyond_the_deadline() -> None:
    world = World([Unavailable("a"), DONE], took=0.9)
    with pytest.raises(Unavailable):
        world.run(Retry(first_pause_seconds=0.2), seconds=1.0)
    assert world.pauses == []


def test_nothing_is_sent_after_the_deadline() -> None:
    world = World([DONE])
    with pytest.raises(DeadlineExceeded, match="before the request was sent"):
        world.run(Retry(), seconds=0.0)
    assert world.given == []


def test_repeats_end_with_the_budget_and_successes_pay_it_back() -> None:
    world = World([])
    session = Session({}, Retry(attempts=2, budget=2, earned=0.5), lambda: world.now, lambda: 0.0)

    def repeats() -> bool:
        world.events[:] = [Unavailable("a"), Unavailable("b")]
        before = len(world.pauses)
        with pytest.raises(Unavailable):
            world.flow(session)
        return len(world.pauses) > before

    assert [repeats() for _ in range(3)] == [True, True, False]
    world.events[:] = [DONE]
    world.flow(session)
    assert not repeats()  # half a repeat
    world.events[:] = [DONE]
    world.flow(session)
    assert [repeats(), repeats()] == [True, False]


def test_budget_is_never_more_than_full_and_threads_share_it() -> None:
    budget = Budget(Retry(budget=100, earned=1))
    budget.earn()
    taken: List[bool] = []
    threads = [threading.Thread(target=lambda: taken.extend(budget.take() for _ in range(50))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(taken) == 100 and len(taken) == 200


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"attempts": 0}, "Retry.attempts should be 1 or more.*received 0"),
        ({"budget": -1}, "Retry.budget should be 0 or more; received -1"),
        ({"first_pause_seconds": float("nan")}, "Retry.first_pause_seconds"),
        ({"attempt_seconds": 0}, "Retry.attempt_seconds should be more than 0"),
    ],
)
def test_values_that_make_no_sense(values: Any, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        Retry(**values)


class Refusing:
    """A transport that is unavailable at first, as a server that is being started."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.asked = 0

    def status(self, target: Target, seconds: float) -> Any:
        self.asked += 1
        if self.asked <= self.times:
            raise Unavailable("not yet")
        return []


def test_the_client_repeats_by_itself() -> None:
    transport: Any = Refusing(2)
    assert Client(transport).status("m") == [] and transport.asked == 3
    transport = Refusing(2)
    with pytest.raises(Unavailable):
        Client(transport, retry=Retry(attempts=2)).status("m")


@pytest.mark.parametrize("kind", ["grpc", "rest"])
def test_a_server_that_starts_late_is_found(kind: str, config_file: Any) -> None:
    from serving.embedded.flags import Flags
    from serving.embedded.server import Server

    port, rest_port = free_port(), free_port()
    transport: Any = GrpcTransport(port=port) if kind == "grpc" else RestTransport(port=rest_port)
    servers: List[Server] = []

    def start() -> None:
        servers.append(Server(Flags(port=port, rest_api_port=rest_port, model_config_file=str(config_file))))

    starting = threading.Timer(0.3, start)
    patient = Retry(attempts=200, first_pause_seconds=0.05, longest_pause_seconds=0.1, budget=200)
    with Client(transport, deadline_seconds=60, retry=patient) as client:
        with pytest.raises(Unavailable, match="is not reachable"):
            Client(transport, retry=Retry(attempts=1)).status("sum")
        starting.start()
        answer = client.predict("sum", {"x": [[1, 2]], "ids": [3], "name": ["abc"]})
    starting.join()
    servers[0].close()
    assert answer.outputs["score"].tolist() == [6.0]
