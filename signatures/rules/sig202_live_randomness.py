"""An output depends on random numbers.

Why: the same request gets different scores. Mostly it is dropout or sampling that was left on from training.

Bad: `model(x, training=True)` in the exported function.

Good: `model(x, training=False)`. Traces with `training=True` that lie unused in the file are not counted.
"""

from __future__ import annotations

import re
from typing import Iterator

from signatures.export import Export
from signatures.findings import Finding, Rule

RULE = Rule(
    code="SIG202",
    name="live_randomness",
    severity="error",
    bad=(
        """
        input price float32[?]
        output score float32[?]
        shape = Shape price
        noise = RandomUniform shape
        score = Mul price noise
        """,
        """
        input price float32[?]
        output score float32[?] = call
        call = PartitionedCall price f=@dropout
        function dropout(x) -> kept:output:0
          seed = Const
          shape = Shape x
          draw = StatelessRandomUniformV2 shape:output:0 seed:output:0
          keep = GreaterEqual draw:output:0 x
          zero = ZerosLike x
          kept = SelectV2 keep:z:0 x zero:y:0
        """,
    ),
    good=(
        """
        input price float32[?]
        output score float32[?] = call
        call = PartitionedCall price f=@inference
        function inference(x) -> x
          noise = RandomUniform x
        function training(x) -> noisy:z:0
          noise = RandomUniform x
          noisy = Mul x noise:output:0
        """,
        """
        input price float32[?]
        output score float32[?]
        noise = RandomStandardNormal
        rows = Shape noise
        score = Reshape price rows
        """,
    ),
)

_RANDOM = re.compile(
    r"(Stateless|Stateful)?(Random|TruncatedNormal|ParameterizedTruncatedNormal|Multinomial|Uniform|StandardNormal).*"
    r"|(Stateless|Stateful)(Binomial|ParameterizedTruncatedNormal|TruncatedNormal|SampleDistorted).*"
    r"|(LogUniform|Uniform|LearnedUnigram|FixedUnigram|ThreadUnsafeUnigram|All)CandidateSampler"
    r"|SampleDistortedBoundingBox.*|RngReadAndSkip|RngSkip|StatelessShuffle|AnonymousRandomSeedGenerator|SkipgramV?\d?"
)
# Quantisation happens to begin with the same word.
_NOT_RANDOM = re.compile(r"Uniform(Quantize|Dequantize|Requantize).*|RandomDataset.*")


def check(export: Export) -> Iterator[Finding]:
    """Finds random ops whose value reaches an output."""
    for signature in export.inference():
        for place in export.trace(signature.name).live:
            if _RANDOM.fullmatch(place.node.op) and not _NOT_RANDOM.fullmatch(place.node.op):
                yield RULE.finding(
                    f"{place} makes an output random; export it without dropout and sampling (training=False)",
                    signature.name,
                    place.node.name,
                )
