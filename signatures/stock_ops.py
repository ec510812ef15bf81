"""The ops that the stock TensorFlow Serving has: those of TensorFlow 2.16, of TF-Text and of TF-DF.

`stock_ops.txt` lists TensorFlow's, as its registry has them. TF-Text and TF-DF are linked into the official binary;
their ops have a prefix, but for the oldest ones of TF-Text.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import FrozenSet

_LINKED = re.compile(
    r"TFText>.+|SimpleML\w+"
    r"|Sentencepiece\w*Op|CaseFoldUTF8|NormalizeUTF8(WithOffsets)?|FindSourceOffsets|MaxSpanningTree"
    r"|ConstrainedSequence|RegexSplitWithOffsets|SentenceFragments(V2)?|RougeL|TokenizerFromLogits"
    r"|(Whitespace|UnicodeScript|Wordpiece|SplitMerge)TokenizeWithOffsets(V2)?"
)


def in_stock_server(op: str) -> bool:
    """True for an op that tensorflow/serving can run. What begins with an underscore, TensorFlow makes when it runs."""
    return op.startswith("_") or op in listed() or _LINKED.fullmatch(op) is not None


@lru_cache
def listed() -> FrozenSet[str]:
    """TensorFlow's own ops."""
    return frozenset(Path(__file__).with_name("stock_ops.txt").read_text(encoding="ascii").split())
