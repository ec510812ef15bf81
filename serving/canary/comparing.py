"""How far the answers of two versions are apart: scores, the order that they make, items found, NaN, latency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from serving.canary.asking import Asked, Seconds

_LARGEST = 300
"""Of a list, so many places are compared in pairs."""


@dataclass(frozen=True)
class Compared:
    """One output over all requests. None is what has no meaning for this output."""

    signature: str
    output: str
    requests: int
    cells: int
    mean: Optional[float] = None
    """Of the absolute differences."""
    largest: Optional[float] = None
    relative: Optional[float] = None
    """The mean difference by the standard deviation of the old scores."""
    order: Optional[float] = None
    """Share of pairs in the same order: 1 for the same ranking, 1/2 for any, 0 for the reverse."""
    overlap: Optional[float] = None
    """Share of the items found by the old version that the new one finds too."""
    not_finite: int = 0
    """Cells that are NaN or infinite now, and were numbers."""
    shapes: int = 0
    """Requests with an answer of another shape, type, or none."""

    @property
    def place(self) -> str:
        return f"{self.signature}/{self.output}"


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one version."""

    requests: int
    p50: float
    p95: float
    p99: float


def compare(asked: Sequence[Asked], kinds: Mapping[str, str]) -> List[Compared]:
    """Every output of every signature. kinds: of signatures, as their manifest says; guessed for others."""
    places: Dict[Tuple[str, str], List[Tuple[np.ndarray, Optional[np.ndarray]]]] = {}
    for each in asked:
        if each.old is None or each.new is None:
            continue
        for output, old in each.old.items():
            places.setdefault((each.question.signature, output), []).append((old, each.new.get(output)))
    return [_compared(name, output, pairs, kinds.get(name)) for (name, output), pairs in sorted(places.items())]


def latencies(taken: Seconds) -> Tuple[Optional[Latency], Optional[Latency]]:
    """Of the old and the new version; None where nothing was timed."""
    return _latency(taken.old), _latency(taken.new)


def same_order(old: np.ndarray, new: np.ndarray) -> Optional[float]:
    """The share of pairs of a list [N] that both put in the same order; None where the old one makes no order.

    Pairs that are equal in the old are no pairs; those that are equal in the new count one half.
    """
    old, new = old[:_LARGEST], new[:_LARGEST]
    upper = np.triu_indices(len(old), 1)
    before, after = (np.sign(scores[:, None] - scores[None, :])[upper] for scores in (old, new))
    ordered = before != 0
    if not ordered.any():
        return None
    return float(np.mean((1 + before[ordered] * after[ordered]) / 2))


def _compared(
    signature: str, output: str, pairs: List[Tuple[np.ndarray, Optional[np.ndarray]]], kind: Optional[str]
) -> Compared:
    alike = [(old, new) for old, new in pairs if new is not None and (new.shape, new.dtype) == (old.shape, old.dtype)]
    counts = {"requests": len(pairs), "cells": sum(old.size for old, _ in alike), "shapes": len(pairs) - len(alike)}
    if not alike:
        return Compared(signature, output, **counts)
    if alike[0][0].dtype.kind != "f":
        return Compared(signature, output, **counts, overlap=_overlap(alike))
    broken = sum(int((np.isfinite(old) & ~np.isfinite(new)).sum()) for old, new in alike)
    if kind in ("embedding", "retrieve"):  # another training turns the space; other items have other scores
        return Compared(signature, output, **counts, not_finite=broken)
    old, new = (np.concatenate([each[side].ravel() for each in alike]).astype(np.float64) for side in (0, 1))
    finite = np.isfinite(old) & np.isfinite(new)
    old, new = old[finite], new[finite]
    if not len(old):
        return Compared(signature, output, **counts, not_finite=broken)
    away = np.abs(new - old)
    spread = float(old.std()) or float(np.abs(old).max()) or 1.0
    lists = [row for pair in alike for row in zip(*pair)] if alike[0][0].ndim > 1 else [(old, new)]
    orders = [same_order(np.nan_to_num(a.ravel()), np.nan_to_num(b.ravel())) for a, b in lists]
    known = [each for each in orders if each is not None]
    return Compared(signature, output, **counts, mean=float(away.mean()), largest=float(away.max()),
                    relative=float(away.mean()) / spread, order=float(np.mean(known)) if known else None,
                    not_finite=broken)


def _overlap(pairs: Sequence[Tuple[np.ndarray, np.ndarray]]) -> Optional[float]:
    """Of ids [B, K], the mean over the rows; of other shapes, the share of equal cells."""
    shares = []
    for old, new in pairs:
        if old.ndim == 2:
            rows = [(set(a.tolist()), set(b.tolist())) for a, b in zip(old, new)]
            shares += [len(a & b) / len(a) for a, b in rows if a]
        elif old.size:
            shares.append(float((old == new).mean()))
    return float(np.mean(shares)) if shares else None


def _latency(seconds: Sequence[float]) -> Optional[Latency]:
    if not seconds:
        return None
    p50, p95, p99 = (1e3 * np.quantile(np.array(seconds), (0.5, 0.95, 0.99), method="inverted_cdf")).tolist()
    return Latency(len(seconds), p50, p95, p99)
