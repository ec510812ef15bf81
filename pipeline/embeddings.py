"""The one seam behind which every embedding table lives: encoded ids in, vectors out.

Models ask for vectors by column and never touch a table. Behind the seam are separate tables, or, where they are
updated lazily (`pipeline.row_updates`), one table of all rows that one gather reads. One table under a dense optimizer
would be slower than separate ones, so that does not exist.
"""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping, Sequence, Tuple

import numpy as np
import tensorflow as tf
import tf_keras as keras

from pipeline.encoding import FeatureSpace, Table
from pipeline.seeds import derive


class EmbeddingCollection(keras.layers.Layer):
    """Vectors of one width for the ids of many columns; columns that share a table share its rows.

    Call it once a step with all features: then one look-up serves all of them.
    `deviation` is that of the start, a normal distribution cut at twice that; with 0, every vector starts at 0.
    """

    def __init__(
        self, space: FeatureSpace, columns: Iterable[str], width: int, *, seed: int, deviation: float = 0.02
    ) -> None:
        super().__init__(name=f"embeddings_{width}")
        self.width = width
        self.fused = space.fused
        self.columns: Dict[str, Table] = {column: space.tables[column] for column in columns}
        starts = {
            table.name: keras.initializers.TruncatedNormal(stddev=deviation, seed=derive(seed, table.name, width))
            for table in self.tables
        }
        rows = [table.rows for table in self.tables]
        self._first_row = dict(zip(starts, np.cumsum([0, *rows[:-1]]).tolist()))
        self._tables: Dict[str, tf.Variable] = {}
        if self.fused:

            def start(shape: Any, dtype: Any = None, **other: Any) -> tf.Tensor:
                return tf.concat([starts[t.name]((t.rows, width), dtype=dtype) for t in self.tables], axis=0)

            whole = self.add_weight(name=f"tables_{width}", shape=(sum(rows), width), initializer=start)
            self._tables = dict.fromkeys(starts, whole)
            return
        for table in self.tables:
            self._tables[table.name] = self.add_weight(
                name=f"{table.name}_{width}", shape=(table.rows, width), initializer=starts[table.name]
            )

    @property
    def tables(self) -> Tuple[Table, ...]:
        """Each table once, with its rows."""
        return tuple({table.name: table for table in self.columns.values()}.values())

    def call(self, encoded: Mapping[str, tf.Tensor]) -> Dict[str, tf.Tensor]:
        """encoded: int32 ids [...] by column; columns it does not know are left out. Returns float [..., width]."""
        present = [column for column in self.columns if column in encoded]
        # Gathering from the variable itself reads the rows asked for; from its value, it would copy the table.
        if not self.fused or len(present) < 2:
            return {column: tf.gather(self._table(column), self._rows(column, encoded[column])) for column in present}
        ids = [tf.reshape(self._rows(column, encoded[column]), [-1]) for column in present]
        found = tf.gather(self._table(present[0]), tf.concat(ids, axis=0))
        parts: List[tf.Tensor] = tf.split(found, [tf.size(each) for each in ids], num=len(ids))
        return {column: self._shaped(part, encoded[column]) for column, part in zip(present, parts)}

    def side_by_side(self, encoded: Mapping[str, tf.Tensor], columns: Sequence[str]) -> tf.Tensor:
        """The vectors of columns of single ids, int32 [...] each, one behind the other: float [..., columns * width].

        From a fused table they come as they are to lie, so that nothing is split and put together again.
        """
        if not self.fused:
            vectors = self({column: encoded[column] for column in columns})
            return tf.concat([vectors[column] for column in columns], axis=-1)
        first = [self._first_row[self.columns[column].name] for column in columns]
        ids = tf.stack([encoded[column] for column in columns], axis=-1) + tf.constant(first, tf.int32)
        found = tf.cast(tf.gather(self._table(columns[0]), ids), self.compute_dtype)
        return tf.reshape(found, tf.concat([tf.shape(ids)[:-1], [len(columns) * self.width]], axis=0))

    def all_rows(self, column: str) -> tf.Tensor:
        """The whole table behind a column, float32 [rows, width]: for a softmax over every item."""
        if not self.fused:
            return tf.convert_to_tensor(self._table(column))
        # A gather, not a slice: the gradient of a slice is as large as all tables together.
        return tf.gather(self._table(column), self._rows(column, tf.range(self.columns[column].rows)))

    def _table(self, column: str) -> tf.Variable:
        return self._tables[self.columns[column].name]

    def _rows(self, column: str, ids: tf.Tensor) -> tf.Tensor:
        return ids + self._first_row[self.columns[column].name] if self.fused else ids

    def _shaped(self, vectors: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
        shaped = tf.reshape(vectors, tf.concat([tf.shape(ids), [self.width]], axis=0))
        return tf.ensure_shape(shaped, [*ids.shape, self.width])


def fused_tables(model: keras.Model) -> List[tf.Variable]:
    """The tables of a model that are to be updated lazily, in a fixed order."""
    collections = [each for each in model.submodules if isinstance(each, EmbeddingCollection) and each.fused]
    return [each.trainable_variables[0] for each in collections]
