"""The best 100 of a million items: every index against brute force as tensorflow-recommenders has it.

Vectors of 64 coordinates around 2,000 centres, of deviations 1 / sqrt(place) in a turned basis, with norms that vary;
users come from around the same centres. The inverted file probes the fewest blocks that reach the recall on half of
the users; recall is stated on the other half. Rounds go through all ways in turn, so that all meet the same load.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Sequence, Tuple

import numpy as np
import tensorflow as tf
from tensorflow_recommenders.layers.factorized_top_k import BruteForce

from pipeline.experiment import Retrieval
from pipeline.retrieval import recall
from pipeline.retrieval.catalogue import Catalogue, Identities, Index
from pipeline.retrieval.choice import lists_of
from pipeline.retrieval.clustering import CAPACITY
from pipeline.retrieval.exact import ExactIndex
from pipeline.retrieval.inverted_file import InvertedFile, cluster
from pipeline.retrieval.scann_index import ScannIndex
from signatures.errors import UsageError

WIDTH = 64
BEST = 100
BATCHES = (1, 32)
RECALL = 0.95
_CENTRES = 2000
_USERS = 512
_WARM_UP = 2
_BASE = "brute force (TFRS)"
Call = Callable[[tf.Tensor], Tuple[tf.Tensor, tf.Tensor]]


@dataclass(frozen=True)
class Measurement:
    """One way at one batch size. Times are medians over the rounds; ratios brute force / way, of the same round."""

    way: str
    items: int
    batch: int
    recall: float
    """Recall@100 against exact search."""
    milliseconds: float
    ratio: float
    quartiles: Tuple[float, float]
    best_ratio: float
    """Of the best rounds of both."""
    cpu_ratio: float
    """Of the processor time of all rounds, which the load of the machine changes least."""
    bound_milliseconds: float
    """What reading its bytes from memory or multiplying its numbers would take at the speeds measured in the same run,
    whichever is longer. Vectors that stay in a cache are read faster. NaN where the work is not known."""
    rounds: int


def measure(items: int = 1_000_000, rounds: int = 15, batches: Sequence[int] = BATCHES) -> List[Measurement]:
    """Every way at every batch size."""
    vectors, users = data(items)
    tuned, asked = users[: _USERS // 2], users[_USERS // 2 :]
    ways, work = _ways(vectors, tuned)
    truth = recall.best(asked, vectors)
    reached = {name: _recall(call, asked, vectors, truth) for name, call in ways.items()}
    measured = []
    for batch in batches:
        wall, cpu = _rounds(ways, asked, batch, rounds)
        speed, flops = _bandwidth(), _peak()
        for name in ways:
            ratios = np.array(wall[_BASE]) / np.array(wall[name])
            low, middle, high = (float(q) for q in np.quantile(ratios, [0.25, 0.5, 0.75]))
            size, operations = work.get(name, lambda _: (float("nan"), float("nan")))(asked[:batch])
            measured.append(
                Measurement(
                    way=name,
                    items=items,
                    batch=batch,
                    recall=reached[name],
                    milliseconds=1e3 * float(np.median(wall[name])),
                    ratio=middle,
                    quartiles=(low, high),
                    best_ratio=min(wall[_BASE]) / min(wall[name]),
                    cpu_ratio=sum(cpu[_BASE]) / sum(cpu[name]),
                    bound_milliseconds=1e3 * max(size / speed, operations / flops),
                    rounds=rounds,
                )
            )
    return measured


def data(items: int, seed: int = 1) -> Tuple[np.ndarray, np.ndarray]:
    """Vectors [M, WIDTH] and users [U, WIDTH]."""
    draw = np.random.default_rng(seed)
    deviations = np.arange(1, WIDTH + 1) ** -0.5
    basis, _ = np.linalg.qr(draw.normal(size=(WIDTH, WIDTH)))
    centres = draw.normal(size=(_CENTRES, WIDTH)) * deviations

    def around(count: int, spread: float) -> np.ndarray:
        parts = []
        for start in range(0, count, 100_000):
            size = min(100_000, count - start)
            near = centres[draw.integers(0, _CENTRES, size)] + 0.7 * draw.normal(size=(size, WIDTH)) * deviations
            parts.append((near * np.exp(draw.normal(0.0, spread, (size, 1))) @ basis).astype(np.float32))
        return np.concatenate(parts)

    return around(items, 0.3), around(_USERS, 0.0)


def _ways(vectors: np.ndarray, tuned: np.ndarray) -> Tuple[Dict[str, Call], Dict[str, Any]]:
    """The calls by name; and, for those of which it is known, what bytes and operations some users cost."""
    brute = BruteForce(k=BEST)
    brute.index(tf.constant(vectors))
    lists = lists_of(Retrieval(), len(vectors))
    blocks = cluster(vectors, lists, seed=1)
    truth = [places for k, places in recall.best(tuned, vectors).items() if k == BEST]
    probes = blocks.fewest_probes(tuned, truth, RECALL + 0.005)
    file = f"inverted file, {probes} of {len(blocks.places):,} blocks"
    identities = Identities(np.arange(len(vectors)))
    indexes: Dict[str, Index] = {
        "exact, block maxima": ExactIndex(vectors),
        file: InvertedFile(vectors, blocks, probes),
    }
    try:
        scann = ScannIndex(vectors, lists)
        indexes[f"ScaNN, {scann.searched} of {scann.leaves} leaves"] = scann
    except UsageError as error:  # it has no wheel for every platform
        print(f"without ScaNN: {error}")
    ways: Dict[str, Call] = {_BASE: tf.function(lambda users: brute(users), autograph=False)}
    ways.update({name: _call(Catalogue(identities, index)) for name, index in indexes.items()})

    def everything(users: np.ndarray) -> Tuple[float, float]:
        return 4.0 * vectors.size, 2.0 * vectors.size * len(users)

    def probed(users: np.ndarray) -> Tuple[float, float]:
        chosen = np.argpartition(-blocks.worth(users), probes - 1, axis=1)[:, :probes]
        rows = len(np.unique(chosen)) * CAPACITY + len(blocks.centres)
        return 4.0 * rows * WIDTH, 2.0 * (probes * CAPACITY + len(blocks.centres)) * WIDTH * len(users)

    return ways, {_BASE: everything, "exact, block maxima": everything, file: probed}


def _call(catalogue: Catalogue) -> Call:
    def best(users: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor]:
        size = tf.shape(users)[0]
        ids, scores = catalogue.top(users, tf.fill([size], BEST), tf.zeros([size, 0], tf.int32))
        return scores, ids

    made: Call = tf.function(best, autograph=False)
    return made


def _recall(call: Call, users: np.ndarray, vectors: np.ndarray, truth: Dict[int, np.ndarray]) -> float:
    found = [call(tf.constant(users[at : at + 32]))[1].numpy() for at in range(0, len(users), 32)]
    return recall.recall(users, vectors, np.concatenate(found), truth)[f"recall@{BEST}"]


def _rounds(
    ways: Dict[str, Call], users: np.ndarray, batch: int, rounds: int
) -> Tuple[Dict[str, List[float]], Dict[str, List[float]]]:
    """Seconds of each round by wall clock and by processor clock; other users in each round."""
    wall: Dict[str, List[float]] = {name: [] for name in ways}
    cpu: Dict[str, List[float]] = {name: [] for name in ways}
    for number in range(_WARM_UP + rounds):
        asked = tf.constant(users[np.arange(number * batch, (number + 1) * batch) % len(users)])
        for name, call in ways.items():
            start, spent = time.perf_counter(), time.process_time()
            call(asked)[1].numpy()
            if number >= _WARM_UP:
                wall[name].append(time.perf_counter() - start)
                cpu[name].append(time.process_time() - spent)
    return wall, cpu


def _bandwidth() -> float:
    """Bytes per second that this process reads from memory, the best of some passes over 256 MB."""
    content = tf.ones([1 << 13, 1 << 13])
    return content.shape.num_elements() * 4.0 / _best_seconds(tf.function(lambda: tf.reduce_max(content, axis=1)))


def _peak() -> float:
    """Float32 operations per second of a large matrix product, the best of some."""
    content = tf.ones([2048, 2048])
    return 2.0 * 2048**3 / _best_seconds(tf.function(lambda: tf.matmul(content, content)))


def _best_seconds(call: Callable[[], tf.Tensor]) -> float:
    times = []
    for _ in range(8):
        start = time.perf_counter()
        call().numpy()
        times.append(time.perf_counter() - start)
    return min(times)


def table(measured: Sequence[Measurement]) -> List[List[str]]:
    """Rows of text, the head first."""
    head = ["way", "items", "batch", "recall@100", "ms", "ratio", "quartiles", "best", "CPU ratio", "bound ms"]
    return [
        head,
        *(
            [
                m.way,
                f"{m.items:,}",
                str(m.batch),
                f"{m.recall:.3f}",
                f"{m.milliseconds:.2f}",
                f"{m.ratio:.2f}",
                f"{m.quartiles[0]:.2f} to {m.quartiles[1]:.2f}",
                f"{m.best_ratio:.2f}",
                f"{m.cpu_ratio:.2f}",
                f"{m.bound_milliseconds:.2f}",
            ]
            for m in measured
        ),
    ]
