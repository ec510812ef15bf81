"""The items of a data set: their columns, how often each was seen, and who has seen which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import rows as row_files
from pipeline.prepared import TITLE, TRAIN_COUNT, Part, Prepared
from pipeline.rows import Rows
from signatures.errors import UsageError


@dataclass(frozen=True)
class ItemTable:
    """M items; a position is a place in these arrays."""

    ids: np.ndarray
    """[M] raw ids, int64 or object (strings)."""
    rows: Rows
    """The item side's columns, and those of the cross side that items.parquet has."""
    counts: np.ndarray
    """[M] int64: events in the training part."""
    titles: np.ndarray
    """[M] object, "" where unknown."""

    def index(self, ids: np.ndarray) -> np.ndarray:
        """Raw ids of any shape to their positions, int64 of that shape; -1 for an id that is no item."""
        return _positions(ids, pa.array(self.ids))

    def take(self, index: np.ndarray) -> Rows:
        """The items' columns at positions of any shape ([B], [B, N]), which stands in front of the cells' own."""
        return row_files.take(self.rows, index)


class Seen:
    """Pairs of user and item that occur in some parts: 8 bytes a pair."""

    def __init__(self, users: pa.Array, codes: np.ndarray, items: int) -> None:
        self._users, self._codes, self._items = users, codes, items

    def users(self, raw_ids: np.ndarray) -> np.ndarray:
        """Raw user ids of any shape to what `contains_at` wants, int64; -1 for a user without an event."""
        return _positions(raw_ids, self._users)

    def contains(self, user_ids: np.ndarray, item_positions: np.ndarray) -> np.ndarray:
        """bool [n]: has this user (raw id) met this item (position in the item table)? False for the unknown."""
        return self.contains_at(self.users(user_ids), item_positions)

    def contains_at(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """The same of users from `users`; both int64, of shapes that broadcast."""
        users, items = np.asarray(users), np.asarray(items)
        codes = users * self._items + items
        if not len(self._codes):
            return np.zeros(codes.shape, bool)
        place = np.minimum(np.searchsorted(self._codes, codes), len(self._codes) - 1)
        return (self._codes[place] == codes) & (users >= 0) & (items >= 0)


def load(prepared: Prepared) -> ItemTable:
    """Reads items.parquet. Raises UsageError when the data names no item column or the file is not whole."""
    name = _role(prepared, "item")
    present = row_files.column_names(prepared.items)
    schema = prepared.schema
    columns = schema.columns("item") + tuple(c for c in schema.columns("cross") if c.name in present)
    titles = [TITLE] if TITLE in present else []
    found = row_files.read_file(prepared.items, columns, [name, TRAIN_COUNT, *titles])
    if not len(found[name]):
        raise UsageError(f"{prepared.items} holds no item; run signet prepare again")
    own = {n for c in columns for n in (c.name, c.length) if n}
    return ItemTable(
        ids=found[name],
        rows={n: cells for n, cells in found.items() if n in own},
        counts=found[TRAIN_COUNT],
        titles=found[TITLE] if titles else np.full(len(found[name]), "", object),
    )


def seen(prepared: Prepared, parts: Sequence[Part] = ("train",)) -> Seen:
    """Who has met what in these parts. A filter made of a later part than the model may know of is a leak."""
    user, item = _role(prepared, "user"), _role(prepared, "item")
    item_ids = load(prepared).ids
    groups = [group for part in parts for group in row_files.row_groups(prepared, part)]
    pairs = row_files.read_table(groups, [user, item])
    users = pc.unique(pairs[user])
    positions = _positions(pairs[item], pa.array(item_ids))
    codes = _positions(pairs[user], users) * len(item_ids) + positions
    codes = codes[positions >= 0]  # an item that is missing in the table has no code of its own
    return Seen(users, np.unique(codes), len(item_ids))


def _positions(ids: Any, known: pa.Array) -> np.ndarray:
    if isinstance(ids, (pa.Array, pa.ChunkedArray)):
        flat, shape = ids, (len(ids),)
    else:
        ids = np.asarray(ids)
        flat, shape = pa.array(ids.reshape(-1), known.type), ids.shape
    found = pc.fill_null(pc.index_in(flat, value_set=known), -1)
    return np.asarray(found).astype(np.int64).reshape(shape)


def _role(prepared: Prepared, role: str) -> str:
    name = getattr(prepared.schema.roles, role)
    if name is None:
        raise UsageError(f"schema {prepared.schema.name!r} names no {role} column; set roles.{role}")
    return str(name)
