"""Every user gets the items in the order of their events in the training part."""

from __future__ import annotations

from pipeline import items
from pipeline.evaluation.scoring import Popularity
from pipeline.prepared import Prepared


def fit(prepared: Prepared) -> Popularity:
    """Counted while preparing. Raises UsageError where the schema names no item column."""
    return Popularity(items.load(prepared), prepared.schema)
