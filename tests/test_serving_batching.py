"""Batches, apart from any model: what the graph is run with, what each request gets back, and what is refused."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Dict, Iterator, List, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.embedded.batching.batcher import Batcher
from serving.embedded.batching.parameters import Parameters
from serving.embedded.batching.scheduler import Scheduler
from serving.embedded.errors import StatusError
from serving.embedded.metrics.meters import Meters
from tests.fixtures_serving import wait_until

LONG = 30_000_000
"""Microseconds: a batch that is run before this was full, or made to."""


@dataclass
class Graph:
    """Stands for a session: `y` = 2 x, `count` [] = rows, `twice` = x below itself. Runs wait while `gate` is shut."""

    gate: threading.Event = field(default_factory=threading.Event)
    runs: List[Dict[str, Any]] = field(default_factory=list)
    timeouts: List[int] = field(default_factory=list)
    under_way: int = 0

    def run(
        self, feeds: Sequence[str], values: Sequence[np.ndarray], fetches: Sequence[str], timeout_ms: int
    ) -> List[np.ndarray]:
        fed = dict(zip(feeds, values))
        self.runs.append({name: value.tolist() for name, value in fed.items()})
        self.timeouts.append(timeout_ms)
        self.under_way += 1
        assert self.gate.wait(20)
        if "boom" in fed:
            raise ValueError("no such thing")
        x = fed["x"]
        outputs = {"y": 2 * x, "count": np.array(len(x)), "twice": np.concatenate([x, x])}
        return [outputs[name] for name in fetches]


@dataclass
class Bench:
    """A batcher over a graph whose gate is open, with the threads of its clients."""

    batcher: Batcher
    graph: Graph
    scheduler: Scheduler
    meters: Meters
    clients: ThreadPoolExecutor

    def ask(self, fetches: Sequence[str] = ("y",), timeout_ms: int = 0, **inputs: Any) -> Future[Any]:
        values = [np.asarray(value) for value in inputs.values()]
        return self.clients.submit(self.batcher.run, list(inputs), values, fetches, timeout_ms)

    def answer(self, fetches: Sequence[str] = ("y",), **inputs: Any) -> Any:
        return self.ask(fetches, **inputs).result(20)[0].tolist()

    def waiting(self) -> int:
        """Rows in open and closed batches."""
        queues = self.batcher._queues.values()
        return sum(batch.rows for queue in queues for batch in [*queue._closed, queue._open])

    def occupy(self) -> Future[Any]:
        """Shuts the gate with one request before it: the thread is busy until the gate opens."""
        self.graph.gate.clear()
        before = self.graph.under_way
        found = self.ask(x=[-1.0])
        wait_until(lambda: self.graph.under_way > before)
        return found


@contextmanager
def bench(threads: int = 1, **parameters: Any) -> Iterator[Bench]:
    graph, scheduler, meters = Graph(), Scheduler(threads, "batch"), Meters()
    graph.gate.set()
    batcher = Batcher(graph.run, Parameters(**parameters), scheduler, meters)
    with ThreadPoolExecutor(32) as clients:
        yield Bench(batcher, graph, scheduler, meters, clients)
        graph.gate.set()
        batcher.close()
    scheduler.close()


def refusal(asked: Future[Any]) -> Any:
    error = asked.exception(20)
    assert isinstance(error, StatusError), error
    return error.code, error.message


def test_requests_of_strangers_run_as_one_and_each_gets_its_own_rows() -> None:
    with bench(max_batch_size=6, batch_timeout_micros=LONG) as on:
        asked = [on.ask(x=[float(first), float(first + 1)]) for first in (10, 20, 30)]
        assert [each.result(20)[0].tolist() for each in asked] == [[20, 22], [40, 42], [60, 62]]
    run, = on.graph.runs
    assert sorted(run["x"]) == [10, 11, 20, 21, 30, 31]


def test_batch_that_is_not_full_runs_when_its_time_has_come() -> None:
    with bench(max_batch_size=100, batch_timeout_micros=50_000) as on:
        started = time.monotonic()
        assert on.answer(x=[1.0]) == [2.0]
        assert 0.05 <= time.monotonic() - started < 10
        assert on.answer(x=[3.0]) == [6.0]
    assert [run["x"] for run in on.graph.runs] == [[1.0], [3.0]]


def test_batches_grow_while_the_threads_are_busy() -> None:
    """Without any timeout, a request that finds a thread free runs by itself; those that find none wait together."""
    with bench(max_batch_size=10) as on:
        first = on.occupy()
        others = [on.ask(x=[float(number)]) for number in range(5)]
        wait_until(lambda: on.waiting() == 5)
        on.graph.gate.set()
        assert [each.result(20)[0].tolist() for each in others] == [[0], [2], [4], [6], [8]]
        assert first.result(20)[0].tolist() == [-2]
    assert [len(run["x"]) for run in on.graph.runs] == [1, 5]


def test_padding_inside_is_the_first_element_of_the_requests_own_tensor() -> None:
    with bench(max_batch_size=2, batch_timeout_micros=LONG, pad_variable_length_inputs=True) as on:
        wide, narrow = on.ask(x=[[7, 8, 9]]), on.ask(x=[[5]])
        # The batch comes back as wide as it was run: cutting it to what was asked is the client's part.
        assert wide.result(20)[0].tolist() == [[14, 16, 18]]
        assert narrow.result(20)[0].tolist() == [[10, 10, 10]]
    assert sorted(on.graph.runs[0]["x"]) == [[5, 5, 5], [7, 8, 9]]


def test_padding_of_strings_and_of_several_dimensions() -> None:
    from serving.embedded.batching import merge

    names = [np.array([[b"a", b"b"]], object), np.array([[b"c"]], object)]
    assert merge.merged("name", names, True, 0).tolist() == [[b"a", b"b"], [b"c", b"c"]]
    # [1, 2, 1] beside [1, 1, 2]: both become [1, 2, 2].
    cubes = [np.array([[[1], [2]]]), np.array([[[3, 4]]])]
    assert merge.merged("cube", cubes, True, 0).tolist() == [[[1, 1], [2, 1]], [[3, 4], [3, 3]]]
    with pytest.raises(StatusError, match="Only tensors with rank from 1 to 6 can be padded."):
        merge.merged("deep", [np.zeros([1] * 6 + [2]), np.zeros([1] * 7)], True, 0)
    # A request without rows has nothing to pad.
    assert merge.merged("x", [np.zeros([0, 1]), np.ones([1, 2])], True, 0).tolist() == [[1, 1]]


def test_widths_that_differ_are_refused_without_padding() -> None:
    with bench(max_batch_size=2, batch_timeout_micros=LONG) as on:
        asked = [on.ask(x=[[7, 8]]), on.ask(x=[[5]])]
        for each in asked:
            code, message = refusal(each)
            assert code == "FAILED_PRECONDITION"
            assert message.startswith("Tensors with name 'x' from different tasks have different shapes and padding is "
                                      "turned off.Set pad_variable_length_inputs to true")


def test_ranks_that_differ_are_refused_even_with_padding() -> None:
    with bench(max_batch_size=2, batch_timeout_micros=LONG, pad_variable_length_inputs=True) as on:
        asked = [on.ask(x=[[7, 8]]), on.ask(x=[5])]
        assert [refusal(each)[0] for each in asked] == ["FAILED_PRECONDITION"] * 2


def test_empty_list_cannot_be_padded_and_fails_the_whole_batch() -> None:
    with bench(max_batch_size=2, batch_timeout_micros=LONG, pad_variable_length_inputs=True) as on:
        asked = [on.ask(x=[[7, 8]]), on.ask(x=np.zeros([1, 0]))]
        expected = ("INVALID_ARGUMENT", "Got empty tensor in batch of non-empty tensors.")
        assert [refusal(each) for each in asked] == [expected] * 2


def test_allowed_sizes_are_filled_with_the_first_row_of_the_last_request() -> None:
    parameters: Dict[str, Any] = {"max_batch_size": 8, "allowed_batch_sizes": (4, 8), "batch_timeout_micros": LONG}
    with bench(**parameters) as on:
        first = on.ask(x=[1.0, 2.0])
        wait_until(lambda: on.waiting() == 2)
        second = on.ask(x=[3.0, 4.0, 5.0])
        wait_until(lambda: on.waiting() == 5)
        on.batcher.close()  # what waits is run, at once
        assert first.result(20)[0].tolist() == [2, 4] and second.result(20)[0].tolist() == [6, 8, 10]
    assert [run["x"] for run in on.graph.runs] == [[1.0, 2.0, 3.0, 4.0, 5.0, 3.0, 3.0, 3.0]]
    assert on.meters.batching_padding.snapshot()[("8",)].total == 3
    assert on.meters.batching_processed.snapshot()[()].total == 8


def test_smallest_allowed_size_that_holds_the_rows_is_taken() -> None:
    with bench(max_batch_size=8, allowed_batch_sizes=(1, 4, 8)) as on:
        for rows in (1, 2, 4, 5):
            assert on.answer(x=np.arange(rows, dtype=np.float32)) == [2 * row for row in range(rows)]
    assert [len(run["x"]) for run in on.graph.runs] == [1, 4, 4, 8]


def test_request_without_rows_is_answered() -> None:
    with bench(max_batch_size=4, allowed_batch_sizes=(4,)) as on:
        assert on.answer(x=np.zeros([0])) == []


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"x": np.zeros(9)}, "Task size 9 is larger than maximum input batch size 8"),
        ({"x": [1.0, 2.0], "z": [1.0]}, "Batching Run() input tensors must have equal 0th-dimension size"),
        ({"x": 1.0}, "Batching Run() input tensors must have at least one dimension"),
        ({}, "Batching Run() must have at least one input tensor"),
    ],
)
def test_request_that_cannot_be_batched(inputs: Dict[str, Any], message: str) -> None:
    with bench(max_batch_size=8) as on:
        assert refusal(on.ask(**inputs)) == ("INVALID_ARGUMENT", message)
        assert on.answer(x=[1.0]) == [2.0]


def test_outputs_that_cannot_be_cut_into_requests() -> None:
    with bench(max_batch_size=8) as on:
        assert refusal(on.ask(["count"], x=[1.0])) == (
            "FAILED_PRECONDITION", "Batched output tensor has 0 dimensions"
        )
        assert refusal(on.ask(["twice"], x=[1.0])) == (
            "FAILED_PRECONDITION",
            "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the input "
            "tensors",
        )


def test_full_queue_refuses_at_once() -> None:
    with bench(max_batch_size=2, max_enqueued_batches=2, batch_timeout_micros=LONG) as on:
        on.graph.gate.clear()
        busy = on.ask(x=[0.0, 0.0])  # full, so it runs; nothing ends while the gate is shut
        wait_until(lambda: on.graph.under_way == 1)
        # Two batches of two rows fit: one closed, one open.
        others = [on.ask(x=[float(number)]) for number in range(4)]
        wait_until(lambda: on.waiting() == 4)
        started = time.monotonic()
        assert refusal(on.ask(x=[9.0])) == (
            "UNAVAILABLE", "The batch scheduling queue to which this task was submitted is full; currently 2 batches "
            "enqueued and max_enqueued_batches is 2",
        )
        assert time.monotonic() - started < 1
        on.graph.gate.set()
        assert sorted(each.result(20)[0][0] for each in others) == [0, 2, 4, 6]
        assert busy.result(20)[0].tolist() == [0, 0]
        assert on.ask(x=[5.0, 5.0]).result(20)[0].tolist() == [10, 10]


def test_large_request_is_split_where_that_is_allowed() -> None:
    parameters = {"enable_large_batch_splitting": True, "max_batch_size": 8, "max_execution_batch_size": 3}
    with bench(**parameters, batch_timeout_micros=LONG) as on:
        on.graph.gate.clear()
        first = on.ask(x=[1.0, 2.0])
        wait_until(lambda: on.waiting() == 2)
        # 2 + 1 fill the open batch, 3 the next, and one is left over.
        second = on.ask(x=[3.0, 4.0, 5.0, 6.0, 7.0])
        wait_until(lambda: on.waiting() + sum(len(run["x"]) for run in on.graph.runs) == 7)
        threading.Thread(target=on.batcher.close).start()
        on.graph.gate.set()
        assert first.result(20)[0].tolist() == [2, 4]
        assert second.result(20)[0].tolist() == [6, 8, 10, 12, 14]
    assert [run["x"] for run in on.graph.runs] == [[1, 2, 3], [4, 5, 6], [7]]


def test_split_request_beyond_the_capacity_is_refused() -> None:
    parameters = {"enable_large_batch_splitting": True, "max_batch_size": 8, "max_execution_batch_size": 2}
    with bench(**parameters, max_enqueued_batches=3, batch_timeout_micros=LONG) as on:
        # Two further batches of two, and two in the open one: six rows.
        code, message = refusal(on.ask(x=np.zeros(7)))
        assert code == "UNAVAILABLE" and "task size is 7 but scheduling capacity is only 6" in message


def test_requests_for_other_outputs_do_not_share_a_batch() -> None:
    with bench(max_batch_size=2, batch_timeout_micros=100_000) as on:
        one, other = on.ask(["y"], x=[1.0]), on.ask(["y", "y"], x=[2.0])
        third = on.ask(["y"], x=[3.0], z=[0.0])
        assert one.result(20)[0].tolist() == [2] and third.result(20)[0].tolist() == [6]
        assert [array.tolist() for array in other.result(20)] == [[4], [4]]  # the same tensor under two names
    # The first two ask for the same tensors; the third feeds another one.
    assert sorted(len(run["x"]) for run in on.graph.runs) == [1, 2]


def test_time_in_the_queue_counts() -> None:
    with bench(max_batch_size=2, batch_timeout_micros=0) as on:
        occupied = on.occupy()
        late = on.ask(timeout_ms=20, x=[1.0])
        wait_until(lambda: on.waiting() == 1)
        time.sleep(0.05)
        on.graph.gate.set()
        assert refusal(late) == ("RESOURCE_EXHAUSTED", "Run() timeout exceeded while waiting in batching queue")
        assert occupied.result(20)[0].tolist() == [-2]
    assert len(on.graph.runs) == 1


def test_batch_has_the_time_of_its_most_patient_request() -> None:
    with bench(max_batch_size=2, batch_timeout_micros=LONG) as on:
        for each in [on.ask(timeout_ms=5_000, x=[1.0]), on.ask(timeout_ms=60_000, x=[2.0])]:
            each.result(20)
        for each in [on.ask(timeout_ms=5_000, x=[1.0]), on.ask(x=[2.0])]:
            each.result(20)
    assert 50_000 < on.graph.timeouts[0] <= 60_000
    assert on.graph.timeouts[1] == 0


def test_failure_of_the_graph_is_told_to_all_and_the_thread_lives() -> None:
    with bench(max_batch_size=2, batch_timeout_micros=LONG) as on:
        asked = [on.ask(x=[1.0], boom=[1.0]), on.ask(x=[2.0], boom=[1.0])]
        assert [refusal(each) for each in asked] == [("INTERNAL", "ValueError: no such thing")] * 2
        assert on.ask(x=[1.0, 1.0]).result(20)[0].tolist() == [2, 2]


def test_every_model_has_its_turn() -> None:
    """One thread, two models: the second need not wait until the first has nothing left."""
    with bench(max_batch_size=1) as on:
        other = Batcher(on.graph.run, Parameters(max_batch_size=1), on.scheduler, Meters())
        occupied = on.occupy()
        many = []
        for number in range(4):
            many.append(on.ask(x=[float(number)]))
            wait_until(lambda: on.waiting() == len(many))
        one = on.clients.submit(other.run, ["x"], [np.array([100.0])], ["y"], 0)
        wait_until(lambda: any(queue._open.rows for queue in other._queues.values()))
        on.graph.gate.set()
        for each in [occupied, *many, one]:
            each.result(20)
        other.close()
    order = [run["x"][0] for run in on.graph.runs]
    assert order.index(100.0) <= 2, order


def test_kinds_of_requests_beyond_the_limit_run_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.embedded.batching.batcher._MOST_QUEUES", 1)
    with bench(max_batch_size=2, batch_timeout_micros=LONG) as on:
        assert on.ask(x=[1.0, 2.0]).result(20)[0].tolist() == [2, 4]
        assert on.ask(x=[1.0], z=[0.0]).result(20)[0].tolist() == [2]


def test_metrics_of_batches() -> None:
    with bench(max_batch_size=4, batch_timeout_micros=LONG) as on:
        for each in [on.ask(x=[1.0, 2.0], z=[0.0, 0.0]), on.ask(x=[3.0, 4.0], z=[0.0, 0.0])]:
            each.result(20)
    assert on.meters.batching_input.count(()) == 4  # two requests of two inputs
    assert on.meters.batching_runs.snapshot() == {(): 1}
    assert on.meters.batching_queuing.count(("",)) == 2


@settings(max_examples=30, deadline=None)
@given(
    requests=st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=4), min_size=1, max_size=6),
    allowed=st.sampled_from([(), (8, 32), (32,)]),
)
def test_answer_is_the_same_alone_and_in_a_batch(requests: List[List[int]], allowed: Sequence[int]) -> None:
    """Each request is a list of row widths: ragged rows, padded by the client, with their length beside them."""

    def run(feeds: Any, values: Any, fetches: Any, timeout_ms: int) -> List[np.ndarray]:
        fed = dict(zip(feeds, values))
        valid = np.arange(fed["list"].shape[1]) < fed["length"][:, None]
        return [np.where(valid, fed["list"], 0).sum(1)]

    asked = []
    for number, widths in enumerate(requests):
        values = np.full([len(widths), max(widths)], -1)  # what the client pads with
        for row, width in enumerate(widths):
            values[row, :width] = 10 * number + row + 1
        asked.append({"list": values, "length": np.array(widths)})
    alone = [run(each.keys(), each.values(), None, 0)[0].tolist() for each in asked]

    scheduler = Scheduler(1, "batch")
    parameters = Parameters(32, 2_000, allowed_batch_sizes=tuple(allowed), pad_variable_length_inputs=True)
    batcher = Batcher(run, parameters, scheduler, Meters())
    with ThreadPoolExecutor(len(asked)) as clients:
        together = list(clients.map(lambda each: batcher.run([*each], [*each.values()], ["sum"])[0].tolist(), asked))
    batcher.close()
    scheduler.close()
    assert together == alone
