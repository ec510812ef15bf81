"""The load generator: when it sends, what it counts, and that a stalled server cannot hide what it kept waiting."""

from __future__ import annotations

import asyncio
import json
import re
from array import array
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Union

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from serving.client.client import Client
from serving.client.contract import Contract, Tensor
from serving.client.errors import Refused, RequestError, Unavailable
from serving.client.exchange import Exchange
from serving.client.grpc_transport import AsyncGrpcTransport, GrpcTransport
from serving.client.transport import Answer, Target
from serving.load import command, run, sources
from serving.load.plan import CONSTANT, Closed, Open, Plan, due
from serving.load.report import Report, text
from serving.load.result import Result, summarise
from serving.load.samples import Samples
from serving.load.sources import Sample, Shot
from serving.requests import Request
from signatures.errors import UsageError
from tests.fixtures_serving import Address, free_port


def shot(body: bytes, rows: int) -> Shot:
    return Shot(Exchange("path", body, lambda _: Answer({}, None)), rows)


SHOT = shot(b"body", 2)


class Imitation:
    """Answers after `seconds`, or with the next of `events` where there is one: a pause, or an error."""

    address = "imitation"

    def __init__(self, seconds: float = 0.0, events: Sequence[Union[float, Exception]] = ()) -> None:
        self.seconds, self.events = seconds, list(events)
        self.under_way = self.most = self.sent = 0
        self.bodies: List[bytes] = []
        self.closed = False

    async def send(self, exchange: Exchange[Any], seconds: float) -> bytes:
        event = self.events.pop(0) if self.events else self.seconds
        self.sent += 1
        self.bodies.append(exchange.body)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            if isinstance(event, Exception):
                raise event
            await asyncio.sleep(event)
        finally:
            self.under_way -= 1
        return b""

    async def close(self) -> None:
        self.closed = True


def measured(imitation: Any, plan: Plan, shots: Sequence[Shot] = (SHOT,)) -> Result:
    return run.measure(lambda: imitation, shots, plan)


def closed(concurrency: int = 1, **more: Any) -> Plan:
    return Plan(Closed(concurrency), **{"seconds": 30.0, "warm_up_seconds": 0.0, **more})


def test_a_closed_loop_has_so_many_callers_and_no_more() -> None:
    imitation = Imitation(0.005)
    result = measured(imitation, closed(4, requests=50))
    assert imitation.most == 4 and imitation.closed
    assert (result.requests, result.answered, result.rows, imitation.sent) == (50, 50, 100, 50)
    assert result.offered_per_second is None and result.failures == ()
    # 50 requests of 5 ms by 4 callers need 13 turns.
    assert result.seconds >= 13 * 0.005 and result.requests_per_second == pytest.approx(50 / result.seconds)


def test_shots_are_sent_in_turn() -> None:
    imitation = Imitation()
    measured(imitation, closed(requests=5), [shot(b"a", 1), shot(b"b", 1)])
    assert imitation.bodies == [b"a", b"b", b"a", b"b", b"a"]


def test_the_warm_up_is_not_measured() -> None:
    """The first answer takes 0.2 s, and the warm-up 0.1 s: the slow one is not among the measured."""
    imitation = Imitation(0.001, [0.2])
    result = measured(imitation, closed(warm_up_seconds=0.1, requests=20))
    assert result.requests == 20 and imitation.sent == 21
    assert result.latency is not None and result.latency.maximum < 150


def test_seconds_end_a_closed_loop() -> None:
    result = measured(Imitation(0.01), closed(2, seconds=0.2))
    assert 0.19 < result.seconds < 2 and 2 <= result.requests <= 40


def test_what_a_stalled_server_kept_waiting_counts() -> None:
    """100 requests are due 10 ms apart; the first answer takes 0.5 s, and no other is asked for meanwhile.

    So the one due at 10 ms waits 490 ms, the next 480, … : by the time of sending all but one were fast, and by the
    time that they were due about 50 were slower than 10 ms, their mean being near 250 ms.
    """
    imitation = Imitation(0.0, [0.5])
    result = measured(imitation, Plan(Open(100, CONSTANT, in_flight=1), seconds=1.0, warm_up_seconds=0))
    assert result.requests == result.answered == 100 and imitation.most == 1
    assert result.latency is not None and result.service is not None and result.lag is not None
    assert result.service.p90 < 50 and result.service.maximum >= 499
    assert result.latency.p90 > 350 and result.latency.p99 > 440  # the 10 slowest waited 410 ms and more
    assert result.lag.p90 > 350
    assert 80 < result.latency.mean < 400


def test_an_open_loop_does_not_wait_for_answers() -> None:
    imitation = Imitation(0.3)
    result = measured(imitation, Plan(Open(100, CONSTANT), seconds=0.2, warm_up_seconds=0))
    assert result.answered == 20 and imitation.most == 20 and result.offered_per_second == 100


def test_an_open_loop_ends_with_its_requests() -> None:
    imitation = Imitation()
    assert measured(imitation, Plan(Open(500), requests=10, warm_up_seconds=0.05)).requests == 10


def test_what_finds_no_place_within_the_deadline_is_given_up() -> None:
    """The first answer takes 0.9 s; with a deadline of 0.3 s, what was due before 0.6 s has waited too long by then."""
    imitation = Imitation(0.0, [0.9])
    plan = Plan(Open(100, CONSTANT, in_flight=1), seconds=0.75, warm_up_seconds=0, deadline_seconds=0.3)
    result = measured(imitation, plan)
    failure, = result.failures
    assert failure.kind == "NotSent" and "no place for it within 0.3 s" in failure.example
    # 59 others were due before 0.6 s; a slow machine may lose a few of the 15 that came later.
    assert 59 <= failure.count <= 72 and result.answered == 75 - failure.count == imitation.sent


def test_failures_are_counted_by_kind_and_have_no_latency() -> None:
    events = [Refused("wrong"), Refused("also wrong"), Unavailable("gone")]
    result = measured(Imitation(0.0, events), closed(requests=10))
    found = [(failure.kind, failure.count, failure.example) for failure in result.failures]
    assert found == [("Refused", 2, "wrong"), ("Unavailable", 1, "gone")]
    assert (result.requests, result.answered) == (10, 7)


def test_callers_that_find_no_server_do_not_spin() -> None:
    imitation = Imitation(0.0, [Unavailable("gone")] * 10_000)
    result = measured(imitation, closed(1, seconds=0.2))
    assert 1 <= imitation.sent <= 12  # 0.02 s apart
    assert result.latency is result.service is result.lag is None and result.answered == 0


def test_a_defect_of_the_generator_is_not_a_failure_of_the_server() -> None:
    imitation = Imitation(0.0, [ZeroDivisionError()])
    with pytest.raises(ZeroDivisionError):
        measured(imitation, closed(requests=3))
    assert imitation.closed


def samples(latencies: Sequence[Optional[float]], gap: float = 1.0) -> Samples:
    """Requests `gap` seconds apart, each sent 0.5 ms late; None for one that failed."""
    made = Samples()
    for number, latency in enumerate(latencies):
        due_at = number * gap
        if latency is None:
            made.fail(due_at, due_at, due_at + 1, "Refused", "no")
        else:
            made.add(due_at, due_at + 0.0005, due_at + latency, 1)
    return made


def test_percentiles_are_values_that_occurred() -> None:
    """Of 1 ms, 2 ms, … 100 ms the nearest rank of 95 % is the 95th value."""
    shuffled = np.random.default_rng(0).permutation(np.arange(1, 101) / 1000).tolist()
    result = summarise(samples(shuffled), Plan())
    assert result.latency is not None and result.service is not None and result.lag is not None
    found = result.latency
    assert [found.p50, found.p90, found.p95, found.p99, found.p999, found.maximum] == pytest.approx(
        [50, 90, 95, 99, 100, 100]
    )
    assert found.mean == pytest.approx(50.5) and result.service.p50 == pytest.approx(49.5)
    assert result.lag.maximum == pytest.approx(0.5)
    assert dict(found.curve)[0.25] == pytest.approx(25)
    # The last is due at 99 s and answered within 0.1 s of it.
    assert result.seconds == pytest.approx(99 + shuffled[-1])


def test_the_timeline_adds_up() -> None:
    """0, 1, 2, … 9 s: ten requests in slices of 0.5 s, so 19 slices, of which every second one is empty."""
    result = summarise(samples([0.01, None, 0.03, 0.04, None, 0.06, 0.07, 0.08, 0.09, 0.1]), Plan())
    assert [piece.second for piece in result.timeline] == pytest.approx([0.5 * n for n in range(19)])
    filled = result.timeline[::2]
    assert [piece.answered for piece in filled] == [1, 0, 1, 1, 0, 1, 1, 1, 1, 1]
    assert [piece.failed for piece in filled] == [0, 1, 0, 0, 1, 0, 0, 0, 0, 0]
    assert filled[1].p50 is None and filled[2].p50 == pytest.approx(30) and filled[2].p99 == pytest.approx(30)
    assert all(piece.answered == piece.failed == 0 for piece in result.timeline[1::2])


def test_nothing_measured_is_no_division_by_zero() -> None:
    result = summarise(Samples(), Plan())
    assert (result.requests_per_second, result.rows_per_second, result.latency, result.timeline) == (0, 0, None, ())


def test_constant_arrivals() -> None:
    assert list(due(Open(4, CONSTANT), 1.0, 0)) == [0.0, 0.25, 0.5, 0.75]


def test_poisson_arrivals() -> None:
    """The gaps are exponential: mean 1 / rate, standard deviation the same, and no two seeds alike."""
    times = list(due(Open(1000), 10.0, 1))
    gaps = np.diff([0.0, *times])
    assert len(times) == pytest.approx(10_000, rel=0.05) and times == sorted(times) and times[-1] < 10
    assert gaps.mean() == pytest.approx(1e-3, rel=0.05) and gaps.std() == pytest.approx(1e-3, rel=0.1)
    assert times == list(due(Open(1000), 10.0, 1)) != list(due(Open(1000), 10.0, 2))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"seconds": 0}, "seconds is 0"),
        ({"seconds": float("nan")}, "seconds is nan"),
        ({"seconds": 1e9}, "at most 86,400"),
        ({"deadline_seconds": -1}, "deadline is -1"),
        ({"warm_up_seconds": -1}, "warm-up is -1"),
        ({"requests": 0}, "requests is 0"),
        ({"loop": Closed(0)}, "concurrency is 0"),
        ({"loop": Open(0)}, "rate is 0 a second"),
        ({"loop": Open(1e9)}, "at most 10,000,000 requests"),
        ({"loop": Open(1, "bursts")}, "arrivals is 'bursts'; choose poisson or constant"),
        ({"loop": Open(1, in_flight=0)}, "in-flight is 0"),
    ],
)
def test_plans_that_make_no_sense(values: Dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Plan(**values)


def sample(rows: int) -> Sample:
    contract = Contract("m", "s", {"x": Tensor("int64", (None,)), "scale": Tensor("float32", ())}, {})
    return Sample(Target("m"), contract, {"x": np.arange(rows), "scale": np.array(1.5, np.float32)})


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        (1, [[0], [1], [2], [3]]),
        (2, [[0, 1], [2, 3]]),
        (3, [[0, 1, 2], [3, 0, 1], [2, 3, 0], [1, 2, 3]]),  # until every row was in every place
        (8, [[0, 1, 2, 3, 0, 1, 2, 3]]),
    ],
)
def test_rows_of_a_request(rows: int, wanted: List[List[int]]) -> None:
    made = sources._of_size(sample(4), rows)
    assert [each.arrays["x"].tolist() for each in made] == wanted
    assert {each.rows for each in made} == {rows} and made[0].arrays["scale"].shape == ()


def test_no_row_to_make_others_of() -> None:
    with pytest.raises(UsageError, match="has no row to make 2 of"):
        sources._of_size(sample(0), 2)


def test_requests_are_checked_before_they_are_sent(embedded: Address) -> None:
    with Client(GrpcTransport("127.0.0.1", embedded.port)) as client:
        given = [Request([{"x": [1, 2]}], "one"), Request({"x": [[1, 2]], "ids": [3], "name": ["abc"]})]
        found = sources.samples(client, Target("sum"), given)
        assert [each.target.signature for each in found] == ["one", "serving_default"]
        shots = sources.shots(AsyncGrpcTransport(), found)
        assert [shot.rows for shot in shots] == [1, 1] and shots[0].exchange.body != shots[1].exchange.body
        with pytest.raises(RequestError, match="needs ids, name"):
            sources.samples(client, Target("sum"), [Request([{"x": [1, 2]}])])


def test_golden_requests_and_files(tmp_path: Path) -> None:
    (tmp_path / "golden").mkdir()
    with pytest.raises(UsageError, match="no golden request for signature 'rank'; it has none; give one with --file"):
        sources.golden(tmp_path, "rank")
    (tmp_path / "golden" / "one.json").write_text('{"signature": "one", "inputs": {"x": [NaN]}, "outputs": {}}')
    assert sources.golden(tmp_path, "one")[0].signature == "one"
    with pytest.raises(UsageError, match="it has one; give"):
        sources.golden(tmp_path, "rank")
    lines = tmp_path / "requests.jsonl"
    lines.write_text('{"x": 1}\n\n{"inputs": {"x": [2]}}\n')
    assert sources.from_file(lines) == [Request([{"x": 1}]), Request({"x": [2]})]
    lines.write_text('{"x": 1}\n{')
    with pytest.raises(UsageError, match="requests.jsonl:2 is no JSON"):
        sources.from_file(lines)
    lines.write_text("\n")
    with pytest.raises(UsageError, match="is empty"):
        sources.from_file(lines)
    with pytest.raises(UsageError, match="cannot be read"):
        sources.from_file(tmp_path / "nowhere.json")


def report(result: Result, loop: Union[Open, Closed]) -> Report:
    return Report("m <rank>", "m over gRPC", "2024-01-01T00:00:00+00:00", Plan(loop), result)


def test_warnings_say_what_the_figures_hide() -> None:
    slow = samples([0.001] * 200, gap=0.01)
    assert report(summarise(slow, Plan(Open(100))), Open(100)).warnings() == []
    slow.sent[-3:] = array("d", [value + 0.1 for value in slow.sent[-3:]])
    assert "the generator itself was late" in report(summarise(slow, Plan(Open(100))), Open(100)).warnings()[0]
    few = report(summarise(samples([0.001, None]), Plan()), Closed()).warnings()
    assert few == ["1 of 2 requests failed; latencies are of the answered ones only",
                   "1 answers are too few for a p99; give more seconds or requests"]
    lost = samples([0.001])
    lost.fail(1, 1, 1, "NotSent", "no place")
    assert "could not take the offered rate" in report(summarise(lost, Plan(Open(1))), Open(1)).warnings()[1]


@pytest.mark.parametrize(("value", "shown"), [(0.5, "0.500"), (9.994, "9.99"), (99.96, "100"), (1234.5, "1,234")])
def test_three_digits(value: float, shown: str) -> None:
    result = summarise(samples([value / 1000]), Plan())
    assert text(result.latency, "p50") == shown and text(None, "p50") == "–"


@pytest.mark.parametrize("loop", [Open(2), Closed()])
@pytest.mark.parametrize("latencies", [[], [None], [0.01, None, 0.02]])
def test_the_page_needs_nothing_but_itself(loop: Any, latencies: Any) -> None:
    page = report(summarise(samples(latencies), Plan(loop)), loop).page()
    assert "m &lt;rank&gt;" in page and "<svg" in page
    assert not re.search(r"https?://|src=|<link|<script|@import", page)
    assert page.count("Refused") == (None in latencies)


@pytest.fixture
def console() -> typer.Typer:
    app = typer.Typer()
    app.command()(command.load)
    app.command()(lambda: None)
    return app


def invoked(console: typer.Typer, *arguments: Any) -> Any:
    return CliRunner().invoke(console, ["load", *(str(argument) for argument in arguments)])


@pytest.fixture
def row(tmp_path: Path) -> Path:
    file = tmp_path / "row.json"
    file.write_text('{"instances": [{"x": [1, 2], "ids": 3, "name": "abc"}]}', encoding="utf-8")
    return file


@pytest.mark.parametrize("transport", ["grpc", "rest"])
def test_load_of_a_running_server(
    console: typer.Typer, address: Address, row: Path, tmp_path: Path, transport: str
) -> None:
    outputs = [tmp_path / "new" / f"load.{ending}" for ending in ("json", "html", "png")]
    done = invoked(console, "sum", "--file", row, "--rows", 3, "--requests", 60, "--warm-up", 0.1, "--concurrency", 3,
                   "--transport", transport, "--port", address.port, "--rest-port", address.rest_port,
                   *(word for output in outputs for word in ("--output", output)))
    assert done.exit_code == 0, done.output
    assert "requests/s" in done.stdout and "p99" in done.stdout and "answered 60, failed 0" in done.stdout
    written = json.loads(outputs[0].read_text(encoding="utf-8"))
    assert written["loop"] == "closed" and written["plan"]["loop"] == {"concurrency": 3}
    assert written["result"]["answered"] == 60 and written["result"]["rows"] == 180
    assert 0 < written["result"]["latency"]["p50"] <= written["result"]["latency"]["p99"]
    assert "<svg" in outputs[1].read_text(encoding="utf-8")
    assert outputs[2].read_bytes().startswith(b"\x89PNG") and len(list((tmp_path / "new").iterdir())) == 3


def test_open_loop_from_golden_requests(
    console: typer.Typer, embedded: Address, copy_of: Any, tmp_path: Path
) -> None:
    folder = copy_of("sum") / "3" / "golden"
    folder.mkdir()
    (folder / "one.json").write_text('{"signature": "one", "inputs": {"x": [[1, 2], [3, 4]]}, "outputs": {}}')
    done = invoked(console, "sum", "--exports", tmp_path, "--signature", "one", "--rate", 200, "--seconds", 0.5,
                   "--warm-up", 0, "--port", embedded.port, "--output", tmp_path / "load.json")
    assert done.exit_code == 0, done.output
    written = json.loads((tmp_path / "load.json").read_text(encoding="utf-8"))
    assert written["title"] == "sum one" and written["loop"] == "open"
    assert written["result"]["offered_per_second"] == 200 and written["result"]["requests"] > 50
    assert written["result"]["rows"] == 2 * written["result"]["answered"]


def test_bad_use(console: typer.Typer, embedded: Address, row: Path, tmp_path: Path) -> None:
    port = ("--port", embedded.port)
    other = tmp_path / "other.json"
    other.write_text('{"x": [1, 2]}')
    # It fits the contract, and the graph cannot run it: known only when the server is asked.
    unequal = tmp_path / "unequal.json"
    unequal.write_text('{"inputs": {"history": [[1, 2]], "history_rating": [[1, 2, 3]], "history_length": [1]}}')
    cases: List[Any] = [
        (["sum", "--rate", 1, "--concurrency", 1], "either --concurrency"),
        (["sum", "--version", 1, "--label", "a"], "either --version or --label"),
        (["sum", "--rate", 0, "--file", row], "rate is 0"),
        (["sum", "--file", row, "--output", "load.pdf"], "end its name in .json, .html, .png"),
        (["sum", "--file", row, "--output", row / "load.json"], "cannot be made"),
        (["sum", "--exports", tmp_path], "holds no version of model 'sum'"),
        (["sum", "--exports", tmp_path, "--version", 9], "holds no version 9 of model 'sum'"),
        (["sum", "--file", other, *port], "needs ids, name"),
        (["sum", "--file", row, "--signature", "nope", *port], "no signature 'nope'"),
        (["nope", "--file", row, *port], "Servable not found"),
        (["ragged", "--file", unequal, *port], "INVALID_ARGUMENT|must be broadcastable|Incompatible shapes"),
        (["sum", "--file", row, "--port", free_port()], "start a server with: signet serve"),
    ]
    for arguments, words in cases:
        result = invoked(console, *arguments)
        assert isinstance(result.exception, UsageError), (arguments, result.output)
        assert re.search(words, str(result.exception)), arguments


def test_nothing_answered_is_a_failure(
    console: typer.Typer, embedded: Address, row: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server goes away between the first answer and the load."""
    away = AsyncGrpcTransport("127.0.0.1", free_port())
    monkeypatch.setattr("serving.connecting.async_transport", lambda *_: away)
    done = invoked(console, "sum", "--file", row, "--seconds", 0.2, "--warm-up", 0, "--port", embedded.port)
    assert done.exit_code == 1 and "Unavailable" in done.stdout
