"""What this machine can do at most: products of matrices, and moving numbers between memory and processor."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from typing import Callable, Dict

import numpy as np
import tensorflow as tf

from tests.benchmarks.peers.work import Settings, Work

SIZE = 2048
"""Rows and columns of the matrices."""
NUMBERS = 1 << 25
"""Float64 in each of the triad's three arrays: 256 MiB, far more than any cache."""
PIECE = 1 << 15
"""Numbers done at a time, so that the product waits in the cache for its sum."""


def measure(settings: Settings) -> Work:
    """The best of several trials of both. There is nothing to run afterwards."""
    product, moved = matrix_product(), triad()
    gemm = [timed(product) for _ in range(settings["trials"])]
    memory = [timed(moved)[0] for _ in range(settings["trials"])]
    facts: Dict[str, float] = {
        "gemm_gigaflops": 2e-9 * SIZE**3 / min(wall for wall, _ in gemm),
        "gemm_gigaflops_per_cpu_second": 2e-9 * SIZE**3 / min(cpu for _, cpu in gemm),
        # Two arrays are read and one is written, counted as STREAM counts.
        "triad_gigabytes": 3 * 8e-9 * NUMBERS / min(memory),
    }
    return Work(lambda: 0.0, 1, facts)


def timed(run: Callable[[], object]) -> tuple:
    """Seconds by wall clock and by processor clock."""
    start, spent = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - start, time.process_time() - spent


def matrix_product() -> Callable[[], object]:
    """A product of two square float32 matrices, run once already."""
    left, right = (tf.random.stateless_normal([SIZE, SIZE], seed=[place, 0]) for place in range(2))
    product = tf.function(lambda: tf.reduce_max(tf.matmul(left, right)))
    product()
    return lambda: product().numpy()


def triad() -> Callable[[], object]:
    """a = b + 3 c by pieces, on all cores: numpy lets go of the interpreter's lock while it computes."""
    a, b, c = (np.full(NUMBERS, float(value)) for value in range(3))
    parts = np.array_split(np.arange(0, NUMBERS, PIECE), cpu_count() or 1)

    def part(starts: np.ndarray) -> None:
        waiting = np.empty(PIECE)
        for start in starts.tolist():
            piece = slice(start, start + PIECE)
            np.multiply(c[piece], 3.0, out=waiting)
            np.add(b[piece], waiting, out=a[piece])

    def run() -> np.ndarray:
        with ThreadPoolExecutor(len(parts)) as threads:
            list(threads.map(part, parts))
        return a

    return run
