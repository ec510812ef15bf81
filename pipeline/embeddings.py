"""The one seam behind which every embedding table lives: encoded ids in, vectors out.

Models ask for vectors by column and never touch a table, so what is behind (separate tables today) can change alone.
"""

from __future__ import annotations

from typing import Dict, Iterable, Mapping, Tuple

import tensorflow as tf
import tf_keras as keras

from pipeline.encoding import FeatureSpace, Table
from pipeline.seeds import derive


class EmbeddingCollection(keras.layers.Layer):
    """Vectors of one width for the ids of many columns; columns that share a table share its rows.

    Call it once a step with all features: behind the seam, one look-up can then serve all of them.
    `deviation` is that of the start, a normal distribution cut at twice that; with 0, every vector starts at 0.
    """

    def __init__(
        self, space: FeatureSpace, columns: Iterable[str], width: int, *, seed: int, deviation: float = 0.02
    ) -> None:
        super().__init__(name=f"embeddings_{width}")
        self.width = width
        self.columns: Dict[str, Table] = {column: space.tables[column] for column in columns}
        self._tables: Dict[str, tf.Variable] = {}
        for table in self.tables:
            start = keras.initializers.TruncatedNormal(stddev=deviation, seed=derive(seed, table.name, width))
            self._tables[table.name] = self.add_weight(
                name=f"{table.name}_{width}", shape=(table.rows, width), initializer=start
            )

    @property
    def tables(self) -> Tuple[Table, ...]:
        """Each table once, with its rows."""
        return tuple({table.name: table for table in self.columns.values()}.values())

    def call(self, encoded: Mapping[str, tf.Tensor]) -> Dict[str, tf.Tensor]:
        """encoded: int32 ids [...] by column; columns it does not know are left out. Returns float [..., width]."""
        # Gathering from the variable itself reads the rows asked for; from its value, it would copy the table.
        return {
            column: tf.gather(self._tables[table.name], encoded[column])
            for column, table in self.columns.items()
            if column in encoded
        }

    def all_rows(self, column: str) -> tf.Tensor:
        """The whole table behind a column, float32 [rows, width]: for a softmax over every item."""
        return tf.convert_to_tensor(self._tables[self.columns[column].name])
