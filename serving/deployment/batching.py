"""Whether and how the server merges requests into batches, from what the manifests declare and `signet tune` wrote."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional, Sequence, Tuple

from serving.deployment.inside import Inside
from serving.deployment.served import TUNED, Served

FILE = "batching.config"
MAXIMUM_ROWS = 64
"""Of a merged batch, and so of a request: more rows in one request are refused."""

_ENQUEUED_BATCHES = 100


@dataclass(frozen=True)
class Batching:
    """A server's flags for batching, its file, and what to tell the user."""

    flags: Tuple[str, ...]
    parameters: str
    notices: Tuple[str, ...] = ()


def batching(models: Sequence[Served], inside: Inside, threads: Optional[int] = None) -> Batching:
    """Batches what is known to have independent rows; with parameters of its own where a model ships them.

    threads: how many batches run at once; None: as many as the server sees cores.
    """
    mixing = [each.name for each in models if not each.independent_rows]
    tuned = [each for each in models if each.tuned]
    on = ("--enable_batching=true", f"--batching_parameters_file={inside.config}/{FILE}")
    if tuned:
        # The server then batches exactly the models that ship parameters; of this file it takes the threads alone.
        notices = [f"{each.name} ships no {TUNED} and will not be batched" for each in models if not each.tuned]
        wanted = max((each.threads for each in tuned if each.threads), default=None)
        own = _threads(threads if threads is not None else wanted)
        return Batching((*on, "--enable_per_model_batching_parameters=true"), own, tuple(notices))
    if mixing:
        notice = f"batching stays off: nothing declares that the rows of {', '.join(mixing)} are independent"
        return Batching((), _threads(threads), (notice,))
    return Batching(on, _parameters(models, threads))


def _parameters(models: Sequence[Served], threads: Optional[int]) -> str:
    lines = [
        f"max_batch_size {{ value: {MAXIMUM_ROWS} }}",
        "# 0: whoever finds a free thread runs at once; batches form only while all threads are busy.",
        "batch_timeout_micros { value: 0 }",
        "# Beyond this a request is refused at once, UNAVAILABLE, rather than kept waiting.",
        f"max_enqueued_batches {{ value: {_ENQUEUED_BATCHES} }}",
    ]
    if any(each.ragged for each in models):
        lines.append("pad_variable_length_inputs: true")
    return "\n".join(lines) + "\n" + _threads(threads)


def _threads(threads: Optional[int]) -> str:
    lines: List[str] = ['thread_pool_name { value: "batches" }']
    if threads is not None:
        lines.append(f"num_batch_threads {{ value: {threads} }}")
    return "\n".join(lines) + "\n"
