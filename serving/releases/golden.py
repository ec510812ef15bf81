"""Whether a loaded version answers the golden requests of its export as the export says: that it is the one meant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, List

import numpy as np

from serving import requests
from serving.client.client import Client
from serving.releases.errors import ReleaseError

TOLERANCE = 5e-3
"""Of the largest score, or absolute below 1: a server's optimiser changes low bits, TF32 on GPUs the third digit."""
_NO_SCORE = 1e30


def signatures(export: Path) -> List[str]:
    """Those that the export has a golden request for."""
    return sorted(file.stem for file in (export / "golden").glob("*.json"))


def verify(client: Client, model: str, export: Path, deadline_seconds: float) -> int:
    """Asks the version of this folder; how many requests were compared. Raises ReleaseError for another answer."""
    names = signatures(export)
    for name in names:
        text = (export / "golden" / f"{name}.json").read_text(encoding="utf-8")
        asked, expected = requests.from_json(text, str(export)).inputs, json.loads(text).get("outputs", {})
        answer = client.predict(model, asked, name, int(export.name), deadline_seconds=deadline_seconds)
        for output, cells in expected.items():
            _compare(f"version {export.name} of {model}, {name}/{output}", answer.outputs.get(output), cells)
    return len(names)


def _compare(where: str, answered: Any, cells: Any) -> None:
    if answered is None:
        raise ReleaseError(f"{where}: the server does not answer this output, which the export has; export it again")
    expected = np.array(cells)
    if answered.shape != expected.shape:
        raise ReleaseError(f"{where}: the server answers {list(answered.shape)} to the golden request, and the export "
                           f"says {list(expected.shape)}; export the model again")
    if answered.dtype.kind != "f":  # ids: those of equal scores may change places
        return
    away = np.abs(answered.astype(np.float64) - expected.astype(np.float64))
    sizes = np.abs(expected.astype(np.float64))
    # A retrieval leaves the lowest of all numbers where it found nothing.
    allowed = TOLERANCE * max(1.0, float(np.max(sizes[sizes < _NO_SCORE], initial=0.0)))
    same = np.isnan(answered) & np.isnan(expected) | (answered == expected)
    if not bool(np.all(same | (away <= allowed))):
        raise ReleaseError(f"{where}: the server's answer to the golden request is up to {np.nanmax(away):.3g} away "
                           "from the export's own; the server loads something else, or computes it otherwise")
