"""Which examples an epoch is made of, in numpy: their order, their negatives, their labels, masks and weights.

An example is a row, or a row with the item side of another item (a drawn negative). Rows are read a window of row
groups at a time, so memory does not grow with the data; the features of a window that is skipped are not read at all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Callable, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from pipeline import items as item_tables
from pipeline import rows as row_files
from pipeline import weights
from pipeline.items import ItemTable, Seen
from pipeline.models.specification import TrainingRows
from pipeline.negatives import NegativeSampler, sampler
from pipeline.plan import Plan
from pipeline.prepared import EVENT_TIME, NEWER, Part, Prepared
from pipeline.rows import RowGroup, Rows
from pipeline.schema import Column, Schema
from pipeline.schema import Sequence as SequenceFeature
from pipeline.seeds import derive
from pipeline.weights import Survey
from signatures.errors import UsageError

Encode = Callable[[Rows], Rows]
"""The columns of some features to the same columns encoded, row by row; what it is handed may be emptied."""


@dataclass(frozen=True)
class Batch:
    """B examples. Columns are raw, or encoded where the examples were given what encodes them."""

    rows: Rows
    """Columns of the B examples; where negatives are drawn, user and context columns of R <= B rows."""
    items: Optional[Rows]
    """Where negatives are drawn: columns of the item and cross side [B]."""
    source: Optional[np.ndarray]
    """Where negatives are drawn: int32 [B], which of `rows` an example has its user and context from."""
    numbers: Dict[str, np.ndarray]
    """[B] by declared name: labels, masks, sample weights as float32; a next_item label as the raw item id."""

    @property
    def size(self) -> int:
        return row_files.count(self.rows) if self.source is None else len(self.source)


@dataclass(frozen=True)
class Order:
    """The n examples of one window, in their order."""

    row: np.ndarray
    """int64 [n]: position of its row among the chosen rows of the window."""
    item: np.ndarray
    """int64 [n]: position in the item table of a drawn negative, -1 where the row keeps its own item."""
    balance: np.ndarray
    """float32 [n]: the factor from class balance."""

    @property
    def size(self) -> int:
        return len(self.row)


class Negatives:
    """Draws the negatives of a window."""

    def __init__(self, prepared: Prepared, schema: Schema, plan: Plan, encode: Encode) -> None:
        items = item_tables.load(prepared)
        _check_cross_side(schema, items)
        self.items: ItemTable = replace(items, rows=encode(dict(items.rows)))
        # Whatever the part that is read: a filter made of validation or test events would leak them.
        self._seen: Seen = item_tables.seen(prepared, parts=("train",))
        self._sampler: NegativeSampler = sampler(plan.negative_sampler, plan.popularity_alpha, self.items, self._seen)
        self._roles, self._plan = schema.roles, plan

    def order(self, keys: Rows, row: np.ndarray, generator: np.random.Generator) -> Order:
        """Each event before its negatives: a batch then repeats few users, and encodes each of them once.

        A negative that was not found is left out; the others of its event then weigh more, where classes are balanced.
        """
        users = self._seen.users(keys[str(self._roles.user)])[row]
        own = self.items.index(keys[str(self._roles.item)])[row]
        drawn = self._sampler.draw(users, own, self._plan.negatives_per_positive, generator)
        events = np.ones((len(row), 1), bool)
        kept = np.concatenate([events, drawn >= 0], axis=1)
        item = np.concatenate([np.where(events, -1, 0), drawn], axis=1)
        balance = np.ones(kept.shape, np.float32)
        if self._plan.class_balance:
            balance[:, 1:] = 1.0 / np.maximum(kept[:, 1:].sum(axis=1, keepdims=True), 1)
        return Order(np.broadcast_to(row[:, np.newaxis], kept.shape)[kept], item[kept], balance[kept])


class Examples:
    """The examples of one part for one model. Raises UsageError when the data lacks what the plan needs."""

    def __init__(
        self,
        prepared: Prepared,
        schema: Schema,
        rows: TrainingRows,
        plan: Plan,
        part: Part,
        encode: Encode = lambda rows: rows,
    ) -> None:
        """`encode` is asked once for the features of each window and once for all items, not for each batch."""
        weights.check(schema, rows, plan)
        self._encode = encode
        self.schema, self._kind, self._plan, self._part = schema, rows, plan, part
        # As many events as the longest history, so that windows without a shift show each event as a target once.
        sequences = [each.maximum_length for each in schema.features if isinstance(each, SequenceFeature)]
        self._window = max(sequences, default=1)
        self._stored = row_files.column_names(row_files.files(prepared, part)[0])
        self._groups = row_files.row_groups(prepared, part)
        draws = rows == "pointwise" and prepared.facts.positives_only
        self.negatives = Negatives(prepared, schema, plan, encode) if draws else None
        self._survey: Survey = weights.survey(row_files.row_groups(prepared, "train"), schema, self._key_names())
        labelled = rows == "pointwise" and not draws
        self._negative_weight = weights.negative_weight(self._survey, schema) if labelled else 1.0

    @property
    def row_columns(self) -> Tuple[Column, ...]:
        """Of Batch.rows."""
        if self.negatives is None:
            return self.schema.columns()
        return self.schema.columns("user") + self.schema.columns("context")

    @property
    def item_columns(self) -> Tuple[Column, ...]:
        """Of Batch.items."""
        return self.schema.columns("item") + self.schema.columns("cross")

    @property
    def item_labels(self) -> Tuple[str, ...]:
        """Labels that are the row's own item."""
        return tuple(task.label for task in self.schema.tasks if task.kind == "next_item")

    def count(self) -> int:
        """Examples of an epoch, as if every negative that is asked for were found."""
        if self._kind == "pointwise":
            rows = sum(group.rows for group in self._groups)
            return rows if self.negatives is None else rows * (1 + self._plan.negatives_per_positive)
        names = self._key_names()
        # Shifted windows are not as many in each epoch; this is about their mean.
        offset = 0 if self._plan.windows == "tiled" else self._window // 2
        return sum(len(self._chosen(row_files.read_groups([group], (), names), offset)) for group in self._groups)

    def batches(self, seed: int, epoch: Optional[int], skip: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from the `skip`-th on: always the same for the same seed and epoch.

        epoch None: rows in the order of the files, and the same negatives each time.
        """
        size, unused = self._plan.batch_size, skip * self._plan.batch_size
        carried: Optional[Batch] = None
        features: Rows = {}
        for number, groups in enumerate(self._windows(seed, epoch)):
            keys = row_files.read_groups(groups, (), self._key_names())
            chosen = self._chosen(keys, self._offset(seed, epoch))
            keys = row_files.take(keys, chosen)
            order = self._order(keys, np.random.default_rng(derive(seed, "examples", epoch, number)), epoch is not None)
            start = min(unused, order.size)
            unused -= start
            features.clear()  # before the next window is read, so that there are never two of them
            if start < order.size:
                features.update(self._encode(row_files.read_groups(groups, self.schema.columns(), at=chosen)))
            while start < order.size:
                stop = min(order.size, start + size - (carried.size if carried else 0))
                piece = self._batch(keys, features, order, slice(start, stop))
                carried = piece if carried is None else _join(carried, piece)
                start = stop
                if carried.size == size:
                    yield carried
                    carried = None
        if carried is not None:
            yield carried

    def _windows(self, seed: int, epoch: Optional[int]) -> List[List[RowGroup]]:
        order = np.arange(len(self._groups))
        if epoch is not None:
            order = np.random.default_rng(derive(seed, "row_groups", epoch)).permutation(order)
        width = self._plan.shuffle_row_groups
        return [[self._groups[i] for i in order[at : at + width]] for at in range(0, len(order), width)]

    def _key_names(self) -> Tuple[str, ...]:
        """Stored columns besides the features: they decide which examples there are, and what they count."""
        schema, roles = self.schema, self.schema.roles
        names = [part.name for part in schema.labels if part.name not in self.item_labels]
        names += [part.name for part in schema.masks]
        names += [part.name for part in schema.sample_weights if part.name in self._stored]
        names += [NEWER] if self._kind == "windows" else []
        names += [EVENT_TIME] if self._plan.recency_half_life_days is not None else []
        names += [str(roles.user)] if self.negatives is not None else []
        names += [str(roles.item)] if self.negatives is not None or self.item_labels else []
        return tuple(dict.fromkeys(names))

    def _chosen(self, keys: Rows, offset: int = 0) -> np.ndarray:
        """Positions of the rows that this kind of training learns from; offset: of all windows but the newest."""
        # Only the training part is tiled; of another part, every row is asked.
        if self._kind == "windows" and self._part == "train":
            newer = keys[NEWER]
            return np.flatnonzero((newer == 0) | ((newer >= 0) & (newer % self._window == offset)))
        task = weights.binary_task(self.schema)
        if self._kind == "positives" and task is not None:
            return np.flatnonzero((keys[task.label] == 1) & weights.counts(keys, task))
        return np.arange(row_files.count(keys))

    def _offset(self, seed: int, epoch: Optional[int]) -> int:
        if self._plan.windows == "tiled" or epoch is None:
            return 0
        return int(np.random.default_rng(derive(seed, "window offset", epoch)).integers(self._window))

    def _order(self, keys: Rows, generator: np.random.Generator, shuffled: bool) -> Order:
        row = np.arange(row_files.count(keys))
        row = generator.permutation(row) if shuffled else row
        if self.negatives is not None:
            return self.negatives.order(keys, row, generator)
        balance = np.ones(len(row), np.float32)
        task = weights.binary_task(self.schema)
        if self._plan.class_balance and task is not None:
            balance[keys[task.label][row] == 0] = self._negative_weight
        return Order(row, np.full(len(row), -1), balance)

    def _batch(self, keys: Rows, features: Rows, order: Order, part: slice) -> Batch:
        row, item = order.row[part], order.item[part]
        numbers = self._numbers({name: keys[name][row] for name in keys}, item < 0, order.balance[part])
        if self.negatives is None:
            return Batch(row_files.take(features, row), None, None, numbers)
        used, source = np.unique(row, return_inverse=True)
        rows = row_files.take(_only(features, self.row_columns), used)
        own = row_files.take(_only(features, self.item_columns), row[item < 0])
        return Batch(rows, _merge(own, self.negatives.items, item), source.astype(np.int32), numbers)

    def _numbers(self, keys: Rows, happened: np.ndarray, balance: np.ndarray) -> Dict[str, np.ndarray]:
        """keys: of the examples' rows; happened: bool [n], false for a drawn negative, of which only 0 is known."""
        found: Dict[str, np.ndarray] = {name: keys[str(self.schema.roles.item)] for name in self.item_labels}
        for part in (*self.schema.labels, *self.schema.masks):
            if part.name not in found:
                found[part.name] = np.where(happened, keys[part.name], 0).astype(np.float32)
        factor = balance
        if self._plan.recency_half_life_days is not None:
            half_life = self._plan.recency_half_life_days
            factor = factor * weights.recency(keys[EVENT_TIME], self._survey.newest, half_life)
        for part in self.schema.sample_weights:
            stored = np.where(happened, keys[part.name], 1) if part.name in keys else 1
            found[part.name] = np.asarray(factor * stored, np.float32)
        return found


def _merge(own: Rows, items: ItemTable, item: np.ndarray) -> Rows:
    """Item columns [n]: the next of `own` where item is -1, else those of the item table."""
    happened = item < 0
    place = np.where(happened, np.cumsum(happened), happened.sum() + np.cumsum(~happened)) - 1
    return row_files.take(row_files.concatenate([own, items.take(item[~happened])]), place)


def _join(first: Batch, second: Batch) -> Batch:
    numbers = {name: np.concatenate([first.numbers[name], second.numbers[name]]) for name in first.numbers}
    rows = row_files.concatenate([first.rows, second.rows])
    if first.source is None or second.source is None or first.items is None or second.items is None:
        return Batch(rows, None, None, numbers)
    source = np.concatenate([first.source, second.source + np.int32(row_files.count(first.rows))])
    return Batch(rows, row_files.concatenate([first.items, second.items]), source, numbers)


def _only(rows: Rows, columns: Sequence[Column]) -> Rows:
    return {column.name: rows[column.name] for column in columns}


def _check_cross_side(schema: Schema, items: ItemTable) -> None:
    missing = [column.name for column in schema.columns("cross") if column.name not in items.rows]
    if missing:
        raise UsageError(
            f"feature column {missing[0]!r} is of the cross side and not known for items that a user did not meet, "
            "so no negatives can be drawn; leave it out, or prepare rows that have negatives of their own"
        )
