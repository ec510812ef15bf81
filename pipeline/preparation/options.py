"""What is to be prepared, and how: the options a person may choose, and what follows from them for a source."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Dict, Optional, Tuple

import pydantic

from pipeline import schema as schemas
from pipeline.preparation import layout as layouts
from pipeline.preparation import splits
from pipeline.preparation.layout import Layout
from pipeline.schema import Schema
from pipeline.sources.source import Source
from pipeline.sources.synthetic import Size
from pipeline.sources.table_format import Format
from signatures.errors import UsageError

FORMAT = 2
"""Of what is written: raised when the same raw rows give other prepared ones."""

_ROLES: Dict[str, Tuple[str, ...]] = {"leave_one_out": ("user", "time"), "time": ("time",)}
"""Columns that a split needs to be named."""


class Options(pydantic.BaseModel):
    """What a person may choose."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    table: Optional[Path] = None
    """Bring your own: a CSV, Parquet or JSON lines file, or a folder of them."""
    schema_path: Optional[Path] = None
    """What the table's columns mean."""
    form: Format = Format()
    """How the table is written down."""
    split: Optional[splits.Kind] = None
    """By default the data set's own where it has one, else leave_one_out for events, time for other tables that have
    it, random for the rest. published: the test part is what the data set's publisher set aside."""
    validation_fraction: float = pydantic.Field(default=0.1, gt=0.0, lt=1.0)
    test_fraction: float = pydantic.Field(default=0.1, gt=0.0, lt=1.0)
    """Of the rows, where one event of each user is not what is held out."""
    maximum_history: Optional[int] = pydantic.Field(default=None, ge=1)
    """Cells of every sequence; None for the schema's maximum_length."""
    seed: int = pydantic.Field(default=0, ge=0)
    """Of what is drawn: random and published splits, the samples for quantiles, the synthetic set."""
    size: Size = Size()
    """Of the synthetic set."""

    @pydantic.model_validator(mode="after")
    def _check_fractions(self) -> Options:
        if self.validation_fraction + self.test_fraction >= 1:
            raise ValueError(
                f"validation_fraction {self.validation_fraction} and test_fraction {self.test_fraction} leave no row "
                "for training; make their sum less than 1"
            )
        return self

    @property
    def fractions(self) -> Tuple[float, float]:
        """Of validation and of test."""
        return (self.validation_fraction, self.test_fraction)


def parse(content: Dict[str, Any]) -> Options:
    """Options from plain data, such as the flags of a command. Raises UsageError for an unknown or wrong one."""
    try:
        return Options.model_validate(content)
    except pydantic.ValidationError as error:
        raise UsageError(f"signet prepare: {schemas.describe(error, content)}") from error


@dataclass(frozen=True)
class Plan:
    """What is to be done with the rows of a source."""

    source: Source
    layout: Layout
    split: splits.Kind
    options: Options

    @property
    def by_user(self) -> bool:
        """A user's rows are needed together, in the order of time."""
        return bool(self.layout.histories) or self.split == "leave_one_out"

    @property
    def fingerprint(self) -> str:
        """Digest of the raw content, the schema and the options: equal means equal prepared rows."""
        choices = self.options.model_dump_json(exclude={"table", "schema_path", "size"})
        parts = [str(FORMAT), self.source.dataset, self.source.digest, self.source.schema.hash, self.split, choices]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def plan(source: Source, options: Options) -> Plan:
    """Raises UsageError when the schema and the columns do not go together, or the split needs what is not there."""
    source = replace(source, schema=_with_history(source.schema, options.maximum_history))
    users = source.users.column_names if source.users is not None else ()
    items = source.items.column_names if source.items is not None else ()
    layout = layouts.plan(source.schema, source.columns, source.dataset, users, items)
    roles = source.schema.roles
    split = options.split or source.split
    if split is None:
        split = "leave_one_out" if layout.positives_only else "time" if roles.time is not None else "random"
    for role in _ROLES.get(split, ()):
        if getattr(roles, role) is None:
            raise UsageError(f"split is {split}, which needs roles.{role} in schema {source.schema.name!r}; set it")
    if split == "published" and not source.held_out:
        raise UsageError(f"split is published, but {source.dataset} has no rows set aside; use random, order or time")
    return Plan(source, layout, split, options)


def _with_history(schema: Schema, maximum: Optional[int]) -> Schema:
    if maximum is None:
        return schema
    features = tuple(
        f.model_copy(update={"maximum_length": maximum}) if isinstance(f, schemas.Sequence) else f
        for f in schema.features
    )
    return schema.model_copy(update={"features": features})
