"""That what an epoch is encoded from is encoded once, a window at a time, and that chunks do not show."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, List

import numpy as np
import pytest
import tensorflow as tf

from pipeline import dataset
from pipeline.batches import TrainingBatch
from pipeline.encoding import Encoder
from pipeline.plan import Plan
from pipeline.prepared import Prepared
from tests import training_folder
from tests.training_folder import EVENTS, ITEMS, USERS

PLAN = Plan(batch_size=16, negatives_per_positive=3, shuffle_row_groups=2)


def epoch(prepared: Prepared) -> List[TrainingBatch]:
    schema = prepared.schema.select(prepared.schema.features, ("click",))
    return list(dataset.training_batches(prepared, Encoder(schema, prepared), schema, "pointwise", PLAN, 1, 0))


def test_a_row_is_encoded_once_however_many_negatives_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = training_folder.write(tmp_path / "data")
    rows: Counter = Counter()
    call = Encoder.__call__

    def spied(encoder: Encoder, raw: Any) -> Any:
        rows.update({name: len(cells) for name, cells in raw.items() if name in ("history", "genres")})
        return call(encoder, raw)

    monkeypatch.setattr(Encoder, "__call__", spied)
    monkeypatch.setattr(dataset, "_CHUNK", 5)
    chunked = epoch(prepared)
    # The 80 events, and of what negatives have, the 40 items once.
    events = (USERS - 1) * EVENTS + ITEMS
    assert rows == {"history": events, "genres": events + ITEMS}
    monkeypatch.setattr(dataset, "_CHUNK", 1000)
    for one, other in zip(tf.nest.flatten(chunked), tf.nest.flatten(epoch(prepared))):
        np.testing.assert_array_equal(one, other)
