"""The benchmark of serving: every way answers the same, and what it counts adds up."""

from __future__ import annotations

import contextlib
import stat
from pathlib import Path
from typing import List, Tuple

import numpy as np
import pytest
import tensorflow as tf

from pipeline.prepared import Prepared
from serving.client.transport import Target
from tests import built_models
from tests.benchmarks import model_server, serving
from tests.fixtures_serving import Address


def test_it_measures_every_way(tiny_prepared: Prepared, tmp_path: Path) -> None:
    built = built_models.built("din", tiny_prepared)
    measured = serving.measure(built, tiny_prepared, tmp_path, candidates=3, callers=2, asked=6, rounds=2)
    names = [name for name, _ in model_server.commands()]
    ways = {(each.server, each.transport, each.callers) for each in measured if each.request == serving.ROW}
    assert ways == {
        (serving.IN_PROCESS, "", 1),
        *((name, over, callers) for name in names for over in ("gRPC", "REST") for callers in (1, 2)),
        *((f"{name}, batching", over, 2) for name in names for over in ("gRPC", "REST")),
    }
    assert {each.request for each in measured} == {serving.ROW, "rank, 3 candidates", "3 tiled rows"}
    assert all(each.failed == 0 and each.rounds == 2 and each.requests_per_second > 0 for each in measured)
    assert all((each.overhead_milliseconds is None) == (each.callers > 1) for each in measured)
    assert {len(row) for row in serving.table(measured)} == {10}


def fixed(milliseconds: float, failures: int = 0) -> serving.Round:
    def ask(times: int) -> Tuple[List[float], float, int]:
        return [milliseconds] * (times - failures), times * milliseconds / 1000, failures

    return ask


def test_what_is_counted() -> None:
    """2 ms in process and 5 ms behind the server: 500 and 200 requests a second, 3 ms more, a ratio of 0.4."""
    ways = {(serving.IN_PROCESS, "", 1): fixed(2.0), ("s", "gRPC", 1): fixed(5.0), ("s", "gRPC", 4): fixed(5.0, 5)}
    local, alone, many = serving._measured("one row", ways, 10, 3)
    assert (local.requests_per_second, local.overhead_milliseconds, local.ratio) == (500, 0, 1)
    assert (alone.requests_per_second, alone.overhead_milliseconds, alone.ratio) == pytest.approx((200, 3, 0.4))
    assert many.requests_per_second == pytest.approx(100) and many.overhead_milliseconds is None and many.failed == 15
    assert (alone.p50_milliseconds, alone.p99_milliseconds) == pytest.approx((5, 5))


def test_a_server_that_does_not_serve_is_said_with_its_words(tmp_path: Path) -> None:
    program = tmp_path / "server"
    program.write_text("#!/bin/sh\necho no such model >&2\nexit 3\n", encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    starting = model_server.serving("broken", (str(program),), tmp_path / "m" / "1", tmp_path)
    with pytest.raises(RuntimeError, match="does not serve m; it said:\nno such model"), starting:
        pytest.fail("it does not serve")


@pytest.mark.parametrize(("told", "equal"), [(21.0, True), (21.1, False)])  # 1 + 10 * 2
def test_answers_that_differ_are_not_compared(embedded: Address, told: float, equal: bool) -> None:
    server = model_server.ModelServer("other", embedded.port, embedded.rest_port)
    inputs = {"x": np.array([[1, 2]], np.float32)}
    with contextlib.nullcontext() if equal else pytest.raises(AssertionError, match="other"):
        serving._check(server, Target("sum", "one"), inputs, lambda x: {"y": tf.constant([told])})
