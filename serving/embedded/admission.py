"""Which models may be loaded: one whose graph reads or writes files, or calls back into Python, is refused.

A SavedModel is a program. The real server runs it in a container; this one runs in the user's own account. The linter's
rules decide, on every signature and on what runs at load; what an export's manifest lets pass does not count here, for
the manifest is the model's own word.
"""

from __future__ import annotations

from pathlib import Path
from typing import Iterator

from serving.embedded.errors import StatusError
from signatures import lint, ops
from signatures.errors import UsageError
from signatures.export import Export
from signatures.rules import sig201_host_callback, sig204_file_access, sig301_foreign_asset

_RULES = (sig201_host_callback, sig204_file_access, sig301_foreign_asset)


def refuse_unsafe(path: Path) -> None:
    """Raises StatusError: PERMISSION_DENIED for an unsafe model, INVALID_ARGUMENT for one that cannot be read."""
    try:
        problem = next(_problems(lint.open_export(path)), None)
    except UsageError as error:
        raise StatusError("INVALID_ARGUMENT", str(error)) from error
    if problem is not None:
        cure = "if you trust the model, start the server with --allow_unsafe_models"
        raise StatusError("PERMISSION_DENIED", f"{path} is refused: {problem}; {cure}")


def _problems(export: Export) -> Iterator[str]:
    for rule in _RULES:
        for finding in rule.check(export):
            yield f"{finding.rule} {finding.message}"
    # The rules leave training graphs alone, but a client may run them here as any other signature.
    for signature in export.training():
        for place in export.trace(signature.name).running:
            if place.node.op in sig201_host_callback.OPS or ops.touches_files(place.node):
                yield f"signature {signature.name!r}: {place} leaves the graph"
