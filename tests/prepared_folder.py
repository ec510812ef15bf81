"""A small prepared folder written by hand, in the layout of `pipeline.prepared`, for the tests of what reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Optional

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import prepared as prepared_data
from pipeline import schema as schemas

TYPES = {"int64": pa.int64(), "string": pa.string(), "float32": pa.float32()}


def write(
    folder: Path,
    schema: Dict[str, Any],
    parts: Dict[str, Dict[str, List[Any]]],
    items: Optional[Dict[str, List[Any]]] = None,
    vocabularies: Optional[Dict[str, List[Any]]] = None,
    *,
    row_group: int = 1000,
    positives_only: bool = True,
    statistics: Optional[Dict[str, Any]] = None,
) -> prepared_data.Prepared:
    """Writes columns by part, items and vocabularies; returns the folder as `prepared.load` reads it."""
    parsed = schemas.parse(schema, "test")
    (folder / "vocabularies").mkdir(parents=True)
    for name, entries in (vocabularies or {}).items():
        text = "".join(f"{entry}\n" for entry in entries)
        (folder / "vocabularies" / f"{name}.txt").write_text(text, encoding="utf-8")
    for part, columns in parts.items():
        (folder / part).mkdir()
        pq.write_table(table(parsed, columns), folder / part / "part-00000.parquet", row_group_size=row_group)
    if items is not None:
        pq.write_table(table(parsed, items), folder / "items.parquet")
    schemas.save(parsed, folder / "schema.yaml")
    facts = prepared_data.Facts(
        dataset="test",
        synthetic=True,
        fingerprint="none",
        rows={part: len(next(iter(columns.values()))) for part, columns in parts.items()},
        vocabulary_sizes={name: len(entries) for name, entries in (vocabularies or {}).items()},
        statistics=statistics or {},
        positives_only=positives_only,
    )
    (folder / "facts.json").write_text(facts.model_dump_json(), encoding="utf-8")
    return prepared_data.load(folder)


def table(schema: schemas.Schema, columns: Dict[str, List[Any]]) -> pa.Table:
    """An Arrow table with the types that the schema's features have; other columns as Arrow infers them."""
    types = {}
    for column in schema.columns():
        value = TYPES[column.dtype]
        types[column.name] = pa.list_(value) if column.shape else value
    return pa.table({name: pa.array(cells, types.get(name)) for name, cells in columns.items()})
