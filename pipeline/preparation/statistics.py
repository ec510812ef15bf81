"""Means, deviations and quantiles of the numeric features over the training part, streamed."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Optional

import numpy as np

from pipeline.preparation import parts
from pipeline.prepared import Statistics
from pipeline.schema import Numeric, Schema
from pipeline.seeds import derive

SAMPLE_ROWS = 1 << 18
"""Quantiles are exact up to this many values; beyond, they are those of a random sample of this size."""


def learn(folder: Path, schema: Schema, seed: int) -> Dict[str, Statistics]:
    """By numeric feature, over the rows of a part. Values that are not finite are missing and do not count."""
    features = [feature for feature in schema.features if isinstance(feature, Numeric)]
    moments = {feature.name: Moments() for feature in features}
    samples = {f.name: _Sample(derive(seed, "quantiles", f.name)) for f in features if f.quantiles is not None}
    for batch in parts.read(folder, [feature.name for feature in features]) if features else ():
        for feature in features:
            values = scaled(feature, batch.column(feature.name).to_numpy(zero_copy_only=False))
            moments[feature.name].add(values)
            if feature.name in samples:
                samples[feature.name].add(values)
    return {f.name: _statistics(f, moments[f.name], samples.get(f.name)) for f in features}


def scaled(feature: Numeric, values: np.ndarray) -> np.ndarray:
    """The finite ones of raw values [n], clipped, and after log1p where the transform has it: float64 [m]."""
    found = values[np.isfinite(values)].astype(np.float64)
    if feature.clip is not None:
        found = np.clip(found, *feature.clip)
    return np.log1p(np.maximum(found, 0.0)) if feature.transform.startswith("log1p") else found


class Moments:
    """Count, mean and squared deviations of batches, merged as Chan, Golub and LeVeque do (no cancellation)."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self._squares = 0.0

    def add(self, values: np.ndarray) -> None:
        """More values, float64 [m]."""
        if not len(values):
            return
        mean = float(values.mean())
        shift, total = mean - self.mean, self.count + len(values)
        self._squares += float(np.square(values - mean).sum()) + shift**2 * self.count * len(values) / total
        self.mean += shift * len(values) / total
        self.count = total

    @property
    def deviation(self) -> float:
        """Of the population; 0 without a value."""
        return float(np.sqrt(self._squares / self.count)) if self.count else 0.0


class _Sample:
    """A uniform sample: the values with the smallest of random keys."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self.values = np.zeros(0, np.float64)
        self._keys = np.zeros(0, np.float64)

    def add(self, values: np.ndarray) -> None:
        self.values = np.concatenate([self.values, values])
        self._keys = np.concatenate([self._keys, self._random.random(len(values))])
        if len(self.values) > SAMPLE_ROWS:
            kept = np.argpartition(self._keys, SAMPLE_ROWS)[:SAMPLE_ROWS]
            self.values, self._keys = self.values[kept], self._keys[kept]


def _statistics(feature: Numeric, moments: Moments, sample: Optional[_Sample]) -> Statistics:
    boundaries = None if sample is None or feature.quantiles is None else quantiles(sample.values, feature.quantiles)
    return Statistics(
        mean=moments.mean,
        deviation=moments.deviation,
        boundaries=None if boundaries is None else tuple(boundaries),
    )


def quantiles(values: np.ndarray, buckets: int) -> List[float]:
    """Edges between `buckets` equally full buckets of values [n], increasing, each once; none without a value."""
    if not len(values):
        return []
    edges = np.quantile(values, np.arange(1, buckets) / buckets, method="higher")
    # As float32: the graph compares in it, and two edges that are one there would leave a bucket nothing can reach.
    return [float(edge) for edge in np.unique(edges.astype(np.float32))]
