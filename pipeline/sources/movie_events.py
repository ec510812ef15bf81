"""Ratings of films as record batches; MovieLens and the synthetic set share their columns."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipeline.sources.movielens_schema import LIKED

COLUMNS = ("user_id", "item_id", "rating", "timestamp", "hour", "weekday", "like")

_DAY = 86_400
_THURSDAY = 3  # 1970-01-01, Monday being 0


def record_batch(users: np.ndarray, items: np.ndarray, ratings: np.ndarray, times: np.ndarray) -> pa.RecordBatch:
    """Events [n] int64 with their hour (0 to 23) and weekday (Monday is 0) in UTC, and whether the film was liked."""
    columns = (
        users,
        items,
        ratings,
        times,
        times % _DAY // 3_600,
        (times // _DAY + _THURSDAY) % 7,
        (ratings >= LIKED).astype(np.float32),
    )
    return pa.record_batch([pa.array(column) for column in columns], names=list(COLUMNS))
