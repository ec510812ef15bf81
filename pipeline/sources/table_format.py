"""How a person's table is written down."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, Literal, Optional, Tuple

import pydantic

Kind = Literal["csv", "parquet", "json"]

KINDS: Dict[str, Kind] = {
    ".csv": "csv",
    ".txt": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
}
"""By the end of the file's name."""


class Format(pydantic.BaseModel):
    """What a text table does not say of itself. JSON lines and Parquet need none of it."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    separator: Optional[str] = pydantic.Field(default=None, min_length=1, max_length=1)
    """Of a CSV file; by default a comma, or a tab in .tsv files."""
    header: Optional[Tuple[str, ...]] = None
    """Column names of a CSV file that has no line with them."""
    missing: Tuple[str, ...] = ("",)
    """Texts of a CSV file that mean that a cell is missing."""
    list_separator: str = pydantic.Field(default="|", min_length=1)
    """Between the cells of a list in text: a|b|c."""

    def between(self, path: Path) -> str:
        """What stands between the cells of a line of this file."""
        return self.separator or ("\t" if path.suffix.lower() == ".tsv" else ",")


def first_line(error: BaseException) -> str:
    """What an exception says, without the details below."""
    return (str(error).splitlines() or [type(error).__name__])[0]
