"""What a model takes: numbers to train, bytes to hold, and the time of one ranking request in this process."""

from __future__ import annotations

import statistics
import time
from typing import Optional

import numpy as np

from pipeline import inference, requests, wire
from pipeline.builder import Built
from pipeline.checkpoints import RunState
from pipeline.evaluation.aspects import Cost, Learning
from pipeline.items import ItemTable
from pipeline.items import load as load_items
from pipeline.prepared import Prepared

CANDIDATES = 100
_WARM_UP, _ROUNDS = 3, 25


def of_model(built: Built, prepared: Prepared, state: Optional[RunState] = None) -> Cost:
    """Of a trained model; `state` is its run's, for what training took."""
    counted = state is not None and state.cpu_seconds > 0
    milliseconds = rank_milliseconds(built, prepared)
    return Cost(
        parameters=sum(int(np.prod(variable.shape)) for variable in built.model.trainable_variables),
        variable_bytes=sum(int(np.prod(v.shape)) * v.dtype.size for v in built.model.variables),
        wall_seconds=state.wall_seconds if state is not None and counted else None,
        cpu_seconds=state.cpu_seconds if state is not None and counted else None,
        rank_milliseconds=milliseconds,
        rank_candidates=0 if milliseconds is None else CANDIDATES,
    )


def rank_milliseconds(built: Built, prepared: Prepared) -> Optional[float]:
    """Median time of `rank` with CANDIDATES for the row of the longest history; None for a model without it."""
    if "rank" not in built.spec.signatures or not prepared.items.exists():
        return None
    items = load_items(prepared)
    rank = next(each for each in inference.signatures(built, None) if each.name == "rank")
    asked = wire.tensors(rank.inputs, _request(rank, built, prepared, items))
    function, taken = rank.trace(), []
    for turn in range(_WARM_UP + _ROUNDS):
        start = time.perf_counter()
        for answer in function(**asked).values():
            answer.numpy()
        if turn >= _WARM_UP:
            taken.append(time.perf_counter() - start)
    return 1000 * statistics.median(taken)


def learning(state: RunState, monitor: str) -> Learning:
    """The curve of a run; `monitor` is its experiment's."""
    known = [record for record in state.history if monitor in record]
    counted = all("cpu_seconds" in record for record in known)
    return Learning(
        monitor=monitor,
        best_epoch=state.best_epoch,
        loss=tuple(record["loss"] for record in known),
        figure=tuple(record[monitor] for record in known),
        cpu_seconds=tuple(record["cpu_seconds"] for record in known) if counted else (),
    )


def _request(rank: inference.InferenceSignature, built: Built, prepared: Prepared, items: ItemTable) -> wire.Arrays:
    rows = requests.sample(built, prepared, 1000)
    lengths = [cells for name, cells in rows.items() if name.endswith("_length") and name in rank.inputs]
    longest = int(np.argmax(sum(lengths))) if lengths else 0
    row = {name: cells[longest : longest + 1] for name, cells in rows.items()}
    return requests.request(rank, built, row, items, candidates=CANDIDATES)
