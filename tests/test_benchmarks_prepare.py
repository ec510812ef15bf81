"""The benchmark of preparation: the memory it reports is the preparing program's, not that of whoever started it."""

from __future__ import annotations

import numpy as np

from tests.benchmarks import prepare


def test_the_peak_is_of_the_program_that_prepares() -> None:
    held = np.ones(2**27)  # 1 GiB, as TensorFlow and its models are in `signet bench`
    measured = prepare.measure(3_000)
    assert held.nbytes == 2**30
    assert 50 < measured.peak_mebibytes < 700
    assert 1_000 < measured.rows < 6_000 and measured.seconds > 0
    assert [len(row) for row in prepare.table([measured])] == [4, 4]
    assert prepare.growth(measured, measured) == 1.0
