"""The gates of an export: each looks at the candidate as a stranger would, and one that fails stops the publication."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Tuple

import numpy as np
import tensorflow as tf

from pipeline import warm_up, wire
from pipeline.rows import Rows
from signatures.diff import diff
from signatures.lint import lint
from signatures.manifest import Gate, Manifest, Retrieval, Signature
from signatures.purity import prove

GENERATED_NAMES = "SIG106"
TOLERANCE = 1e-5
"""Largest difference of two answers that count as equal, absolute and relative."""


@dataclass(frozen=True)
class Candidate:
    """An export in its work folder, with what it is held against."""

    folder: Path
    manifest: Manifest
    training_graph: Path
    """The training graph, saved by itself."""
    requests: Mapping[str, Rows]
    """Real rows by signature, at least two."""
    expected: Mapping[str, Mapping[str, np.ndarray]]
    """The answers of the model in training, by signature."""
    live: Optional[Path]
    """The version that is served now."""
    figures: Mapping[str, float]
    """Of the model on the test part."""
    floor: Mapping[str, Tuple[float, str]]
    """By figure, what it must reach, and why."""
    allow_breaking: bool = False
    recall_floor: float = 0.0
    """What each signature that retrieves must find of the truly best items."""


def check(candidate: Candidate) -> Tuple[Gate, ...]:
    """Runs every gate. The model is loaded only once lint has found it harmless."""
    gates = [lint_gate(candidate), purity_gate(candidate), diff_gate(candidate), metric_gate(candidate)]
    gates.append(recall_gate(candidate))
    if not gates[0].passed:
        return tuple(gates)
    loaded = tf.saved_model.load(str(candidate.folder))
    return (*gates, *(_guarded(name, candidate, loaded) for name in _BEHAVIOURS))


def lint_gate(candidate: Candidate) -> Gate:
    """Warnings are refused too, and generated names, which are for information in foreign models only."""
    found = [f for f in lint(candidate.folder) if f.severity != "info" or f.rule == GENERATED_NAMES]
    return _gate("lint", [f"{f.rule} {f.signature}: {f.message}" for f in found], "nothing found")


def purity_gate(candidate: Candidate) -> Gate:
    findings = [f for f in prove(candidate.training_graph) if f.severity == "error"]
    return _gate("purity", [f.message for f in findings], "no prediction depends on a label, mask or weight")


def diff_gate(candidate: Candidate) -> Gate:
    if candidate.live is None:
        return Gate(name="diff", passed=True, detail="first version")
    breaking = [
        f"{change.signature}: {change.message}"
        for change in diff(candidate.live, candidate.folder)
        if change.severity == "error"
    ]
    if breaking and candidate.allow_breaking:
        return Gate(name="diff", passed=True, detail=f"breaking, and allowed: {'; '.join(breaking)}")
    return _gate("diff", breaking, f"clients of version {candidate.live.name} are served as before")


def metric_gate(candidate: Candidate) -> Gate:
    short = [
        f"{name} is {candidate.figures.get(name, float('nan')):.4f}, below {floor:.4f} ({why})"
        for name, (floor, why) in candidate.floor.items()
        # Written so that NaN, which compares with nothing, is below every floor.
        if not candidate.figures.get(name, float("nan")) >= floor
    ]
    reached = ", ".join(
        f"{name} {candidate.figures[name]:.4f} >= {f:.4f}"
        for name, (f, _) in candidate.floor.items()
        if name in candidate.figures
    )
    return _gate("metric", short, reached or "no floor was asked for")


def recall_gate(candidate: Candidate) -> Gate:
    """What an index leaves out is little; the parity gate shows that the served one is that which was measured."""
    found = candidate.manifest.retrieval
    short = [
        f"{name}: {at} is {value:.4f}, below {candidate.recall_floor:.4f} (gates.retrieval_recall); {_remedy(how)}"
        for name, how in found.items()
        for at, value in how.recall.items()
        if not value >= candidate.recall_floor
    ]
    reached = [f"{name} {at} {value:.4f}" for name, how in found.items() for at, value in how.recall.items()]
    told = f"{', '.join(reached)} >= {candidate.recall_floor:.4f}" if reached else "no signature retrieves"
    return _gate("retrieval recall", short, told)


def _remedy(how: Retrieval) -> str:
    if how.index == "inverted_file":
        return f"set retrieval.probes above {how.probes}, or retrieval.index=exact"
    return "set retrieval.scann=false" if how.index == "scann" else "an exact index should find all: this is a defect"


def parity_gate(candidate: Candidate, loaded: Any) -> Gate:
    """Served answers are those of the model in training, in value and in the order of the ranking."""
    problems = []
    for name, signature in candidate.manifest.signatures.items():
        answers = wire.call(loaded.signatures[name], signature.inputs, candidate.requests[name])
        problems += differences(name, answers, candidate.expected[name])
    return _gate("parity", problems, f"{len(candidate.requests)} signatures answer as the model in training does")


def batch_gate(candidate: Candidate, loaded: Any) -> Gate:
    """A row is answered alone as it is in company: the server merges the requests of strangers."""
    problems = []
    for name, signature in _batchable(candidate):
        rows = candidate.requests[name]
        together = wire.call(loaded.signatures[name], signature.inputs, rows)
        for row in range(min(4, _count(rows))):
            alone = wire.call(loaded.signatures[name], signature.inputs, {k: v[row : row + 1] for k, v in rows.items()})
            # k is the largest of the batch, so a row alone may be answered more narrowly than in company.
            problems += differences(
                f"{name} row {row}", alone, {k: _narrow(v[row : row + 1], alone[k]) for k, v in together.items()}
            )
    return _gate("batch invariance", problems, "a row alone is answered as in a batch")


def padding_gate(candidate: Candidate, loaded: Any) -> Gate:
    """Cells beyond the length do not matter, whatever they hold."""
    problems = []
    for name, signature in candidate.manifest.signatures.items():
        rows = candidate.requests[name]
        bare = wire.call(loaded.signatures[name], signature.inputs, rows)
        padded = wire.call(loaded.signatures[name], signature.inputs, wire.pad(dict(rows), signature.inputs, 3))
        problems += differences(name, padded, bare)
    return _gate("padding invariance", problems, "cells beyond a length do not matter")


def rank_gate(candidate: Candidate, loaded: Any) -> Gate:
    """`rank`, and `rank_items` of the same candidates, give each pair what `serving_default` gives it."""
    described = candidate.manifest.signatures
    if not {"rank", "serving_default"} <= set(described):
        return Gate(name="rank", passed=True, detail="no rank signature")
    rows = candidate.requests["rank"]
    ranked = wire.call(loaded.signatures["rank"], described["rank"].inputs, rows)
    flat = tile(rows, described["rank"], described["serving_default"])
    pointwise = wire.call(loaded.signatures["serving_default"], described["serving_default"].inputs, flat)
    tiled = {name: scores.reshape(ranked[name].shape) for name, scores in pointwise.items()}
    problems = differences("rank", ranked, tiled)
    if "rank_items" in described:
        by_ids = wire.call(loaded.signatures["rank_items"], described["rank_items"].inputs, rows)
        problems += differences("rank_items", by_ids, tiled)
    return _gate("rank", problems, "rank equals serving_default on the tiled rows")


def warm_up_gate(candidate: Candidate, loaded: Any) -> Gate:
    """The warm-up records are read and answered; a malformed file is fatal to a server or silently ignored."""
    return _gate("warm-up", warm_up.replay(candidate.folder, loaded, candidate.manifest), "every record is answered")


def tile(rows: Mapping[str, np.ndarray], rank: Signature, pointwise: Signature) -> Rows:
    """Rows of `rank` (user side [B, ...], item side [B, N, ...]) as B x N rows of `serving_default`."""
    items = [n for n in rank.inputs if len(rank.inputs[n].shape) > len(pointwise.inputs[n].shape)]
    candidates = rows[items[0]].shape[1]
    return {
        name: cells.reshape(-1, *cells.shape[2:]) if name in items else np.repeat(cells, candidates, axis=0)
        for name, cells in rows.items()
    }


def differences(what: str, found: Mapping[str, Any], expected: Mapping[str, Any]) -> List[str]:
    """Where answers are not the same: ids exactly, numbers to the tolerance, and no number may be NaN."""
    problems = []
    for name, answer in expected.items():
        if name not in found or found[name].shape != answer.shape:
            shape = found[name].shape if name in found else "nothing"
            problems.append(f"{what}: output {name} has shape {shape}, expected {answer.shape}")
        elif answer.dtype.kind == "f":
            gap = np.abs(found[name] - answer) / np.maximum(1.0, np.abs(answer))
            if not np.all(gap <= TOLERANCE):
                most = float(np.nanmax(gap, initial=0.0))
                problems.append(f"{what}: output {name} differs by {most:.2g} of at most {TOLERANCE:g}, or is NaN")
        elif not np.array_equal(found[name], answer):
            problems.append(f"{what}: output {name} holds other ids")
    return problems


_BEHAVIOURS: Dict[str, Callable[[Candidate, Any], Gate]] = {
    "parity": parity_gate,
    "batch invariance": batch_gate,
    "padding invariance": padding_gate,
    "rank": rank_gate,
    "warm-up": warm_up_gate,
}


def _guarded(name: str, candidate: Candidate, loaded: Any) -> Gate:
    """A candidate that cannot even be called has failed the gate; that is no crash of ours."""
    try:
        return _BEHAVIOURS[name](candidate, loaded)
    except (tf.errors.OpError, ValueError, KeyError, TypeError) as error:
        return Gate(name=name, passed=False, detail=f"{type(error).__name__}: {str(error).splitlines()[0]}")


def _batchable(candidate: Candidate) -> Iterable[Tuple[str, Signature]]:
    return [(name, s) for name, s in candidate.manifest.signatures.items() if s.batchable]


def _narrow(answer: np.ndarray, like: np.ndarray) -> np.ndarray:
    return answer[:, : like.shape[1]] if answer.ndim > 1 and like.ndim > 1 else answer


def _count(rows: Mapping[str, np.ndarray]) -> int:
    return len(next(iter(rows.values())))


def _gate(name: str, problems: List[str], fine: str) -> Gate:
    if not problems:
        return Gate(name=name, passed=True, detail=fine)
    more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
    return Gate(name=name, passed=False, detail="; ".join(problems[:3]) + more)
