"""`signet prepare`: the flags of a command to options, and to the folder where the data goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Optional

from rich.console import Console

from pipeline.preparation import options as preparation
from pipeline.preparation.prepare import find, prepare_source
from pipeline.prepared import Prepared


def run(dataset: Optional[str], options: Dict[str, Any], output: Optional[Path], data: Path) -> Prepared:
    """Prepares into `output`, by default the folder of the data set's name below `data`; returns what is there then.

    dataset: a name, or None for ml-100k (or the synthetic set where that cannot be had); with a table of one's own,
    what to call the folder.
    options: fields of `preparation.Options` as plain data, nested ones as mappings; those that are None are left out.
    Raises UsageError for all that a person can mend.
    """
    console = Console(stderr=True)
    chosen = preparation.parse(_given(options))
    source = find(dataset if chosen.table is None else None, chosen, console)
    return prepare_source(source, output or data / (dataset or source.dataset), chosen, console)


def _given(options: Dict[str, Any]) -> Dict[str, Any]:
    nested = {name: _given(value) if isinstance(value, dict) else value for name, value in options.items()}
    return {name: value for name, value in nested.items() if value is not None}
