"""Why a model should not be loaded: it may do harm, or it cannot work here. Judged from the graph alone.

What an export or a caller suppresses is still dangerous, so the rules are asked here, not the linter.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Optional

from signatures.export import Export
from signatures.findings import Finding
from signatures.ops import touches_files
from signatures.rules import sig201_host_callback, sig204_file_access, sig205_custom_op
from signatures.saved_model import Place
from signatures.stock_ops import in_stock_server
from signatures.trace import Tracer

RULES = (sig201_host_callback, sig204_file_access, sig205_custom_op)


def reason(export: Export, restore: str = "") -> Optional[str]:
    """Why not to load this model, as a clause; None where nothing speaks against it.

    restore: the node that fills the variables, which a signature does not reach.
    """
    outside = next((each.filename for each in export.model.assets if _leads_out(each.filename)), None)
    if outside is not None:
        return f"its asset {outside!r} is outside of its folder"
    found = next((each for rule in RULES for each in rule.check(export)), None)
    if found is not None:
        return _told(found)
    place = _restores(export, restore) if restore in export.model.graph.nodes else None
    return None if place is None else f"restoring its variables runs {place}"


def _told(finding: Finding) -> str:
    where = f" in {finding.signature!r}" if finding.signature else ""
    return f"{finding.rule} found{where}: {finding.told_and_cure()[0]}"


def _leads_out(filename: str) -> bool:
    return Path(filename).is_absolute() or ".." in Path(filename).parts


def _restores(export: Export, restore: str) -> Optional[Place]:
    """What runs at restoring and neither reads the checkpoint nor assigns what was read."""
    trace = Tracer(replace(export.model, init=(restore,), assets=())).init()
    return next((place for place in trace.running if _harms(place)), None)


def _harms(place: Place) -> bool:
    node = place.node
    if node.op in ("RestoreV2", "Restore", "RestoreSlice"):
        return False
    return touches_files(node) or node.op in sig201_host_callback.OPS or not in_stock_server(node.op)
