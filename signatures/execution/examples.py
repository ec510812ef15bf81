"""Models to run, written as text: the examples of the checks, which are their tests. They need no TensorFlow.

A line says one of these:

    input price float32[?]                            an input; `?` is the batch or a free axis
    input history int64[?,?] length history_length    as a manifest declares a list and the input that is its length
    input user_id int64[?] categorical                as a manifest declares a feature of this kind
    input k int32[?] request                          as a manifest declares what a client wishes
    output score float32[?] = price * 2               an output; an expression of numpy's names and these:
        calls                                         calls so far
        cells(list)                                   the numbers of a list's cells: 0 1 2 ...
        gather(20, ids)                               rows of a table of that many, refused as TensorFlow does
        refuse('text')                                refuses the request with this error, perhaps with a code
    batchable, or alone                               as a manifest declares that rows are independent, or are not
    golden price = [1, 2] score = [2, 4]              golden answers
"""

from __future__ import annotations

import json
import re
import textwrap
from dataclasses import replace
from typing import Any, Dict, List, Optional

import numpy as np

from signatures.declaration import Declaration
from signatures.execution import golden
from signatures.execution.inputs import describe
from signatures.execution.probe import Answers, Probe, Refused
from signatures.execution.probing import with_base
from signatures.execution.recipe import Input, Request
from signatures.execution.words import Known
from signatures.manifest import Signature as Declared
from signatures.saved_model import Signature, TensorInfo

WORDS = (b"apple", b"pear", b"plum")
_LINE = re.compile(r"(?P<kind>input|output) (?P<name>\w+) (?P<dtype>\w+)\[(?P<shape>[^\]]*)\](?P<rest>.*)")
_GOLDEN = re.compile(r"(\w+) = (\[.*?\])(?= \w+ =|$)")


class _Draft:
    """What the lines read so far say."""

    def __init__(self) -> None:
        self.inputs: Dict[str, TensorInfo] = {}
        self.outputs: Dict[str, TensorInfo] = {}
        self.expressions: Dict[str, str] = {}
        self.told: Dict[str, List[str]] = {}
        self.batchable: Optional[bool] = None
        self.golden: Dict[str, Any] = {}


def build(text: str) -> Probe:
    """The signature that an example describes, with a request that it answers. Raises ValueError on another line."""
    draft = _Draft()
    for line in filter(str.strip, textwrap.dedent(text).splitlines()):
        _read(draft, line.strip())
    signature = Signature("serving_default", "tensorflow/serving/predict", draft.inputs, draft.outputs)
    inputs = {name: _told(info, draft.told[name]) for name, info in describe(signature, None).items()}
    probe = Probe(
        signature,
        inputs,
        _Model(draft).call,
        declared=None if draft.batchable is None else _declared(draft.batchable),
        roles={name: Declaration(None, frozenset()).role(name, signature) for name in inputs},
        reaching=frozenset(inputs),
        golden=_golden(draft),
    )
    return with_base(probe, Known(texts=WORDS))


class _Model:
    """Answers by evaluating the expressions, which are ours: no example comes from outside."""

    def __init__(self, draft: _Draft) -> None:
        self.draft = draft
        self.calls = 0

    def call(self, request: Request) -> Answers:
        self.calls += 1
        names: Dict[str, Any] = {**vars(np), "min": min, "max": max, "abs": abs}
        names.update(calls=self.calls, cells=_cells, gather=_gather, refuse=_refuse, **request)
        with np.errstate(all="ignore"):
            found = {name: eval(text, dict(names)) for name, text in self.draft.expressions.items()}
        return {name: np.asarray(cells, _numpy(self.draft.outputs[name].dtype)) for name, cells in found.items()}


def _read(draft: _Draft, line: str) -> None:
    found = _LINE.fullmatch(line)
    if line in ("batchable", "alone"):
        draft.batchable = line == "batchable"
    elif line.startswith("golden "):
        draft.golden = {name: json.loads(cells) for name, cells in _GOLDEN.findall(line)}
    elif found is None:
        raise ValueError(f"{line!r} is no line of an example; see the head of signatures/execution/examples.py")
    else:
        sizes = [each.strip() for each in found["shape"].split(",") if each.strip()]
        info = TensorInfo((found["name"],), found["dtype"], tuple(None if s == "?" else int(s) for s in sizes))
        if found["kind"] == "input":
            draft.inputs[found["name"]] = info
            draft.told[found["name"]] = found["rest"].split()
        else:
            draft.outputs[found["name"]] = info
            draft.expressions[found["name"]] = found["rest"].strip().lstrip("= ")


def _told(info: Input, words: List[str]) -> Input:
    """The input as a manifest would declare it."""
    if words[:1] == ["length"]:
        return replace(info, role="feature", length=words[1], kind="sequence")
    if words == ["request"]:
        return replace(info, role="request")
    return replace(info, role="feature", kind=words[0]) if words else info


def _declared(batchable: bool) -> Declared:
    return Declared(inputs={}, outputs={}, kind="score", batchable=batchable)


def _golden(draft: _Draft) -> Optional[golden.Golden]:
    if not draft.golden:
        return None
    tell = {**draft.inputs, **draft.outputs}
    arrays = {name: golden.array(cells, tell[name]) for name, cells in draft.golden.items()}
    return golden.Golden({name: arrays[name] for name in draft.inputs}, {name: arrays[name] for name in draft.outputs})


def _numpy(dtype: str) -> Any:
    return object if dtype == "string" else dtype


def _cells(listed: np.ndarray) -> np.ndarray:
    return np.arange(listed.shape[1])


def _gather(size: int, ids: np.ndarray) -> np.ndarray:
    for place, each in enumerate(np.ravel(ids)):
        if not 0 <= each < size:
            _refuse(f"indices[{place}] = {each} is not in [0, {size})", "INVALID_ARGUMENT")
    return np.sqrt(np.asarray(ids, "float32"))


def _refuse(message: str, code: str = "FAILED_PRECONDITION") -> None:
    raise Refused(code, message)
