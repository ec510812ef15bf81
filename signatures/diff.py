"""What a new version of a model means for the clients of the old one.

Severity says it: an *error* breaks a client that works today, a *warning* breaks some, *info* breaks none. Only the
declared signatures are compared, not what they compute.
"""

from __future__ import annotations

from pathlib import Path
from typing import Iterator, List, Mapping, Optional, Union

from signatures import reader
from signatures.findings import Finding, Severity, in_order
from signatures.saved_model import SavedModel, Shape, Signature, TensorInfo

# The compatibility family: what each code stands for.
CODES = {
    "SIG501": "removed_signature",
    "SIG502": "removed_input",
    "SIG503": "removed_output",
    "SIG504": "added_input",
    "SIG505": "changed_dtype",
    "SIG506": "changed_shape",
    "SIG507": "changed_method",
    "SIG508": "added_signature",
    "SIG509": "added_output",
}


def diff(old: Union[str, Path], new: Union[str, Path]) -> List[Finding]:
    """What changed from one export to another, breaking changes first. Raises UsageError when one cannot be read."""
    return compare(reader.read(Path(old)), reader.read(Path(new)))


def compare(old: SavedModel, new: SavedModel) -> List[Finding]:
    """What changed between two models."""
    found: List[Finding] = []
    for name, signature in old.signatures.items():
        if name in new.signatures:
            found += _signature(signature, new.signatures[name])
        else:
            message = f"signature {name!r} is gone, and requests that name it fail; export it again"
            found.append(Finding("SIG501", "error", name, None, message))
    added = [name for name in new.signatures if name not in old.signatures]
    found += [Finding("SIG508", "info", name, None, f"signature {name!r} is new") for name in added]
    return in_order(found)


def _signature(old: Signature, new: Signature) -> Iterator[Finding]:
    if old.method != new.method:
        message = f"its method was {old.method!r} and is {new.method!r}, so the old calls are refused; keep the method"
        yield Finding("SIG507", "error", old.name, None, message)
    yield from _removed("SIG502", "input", old.name, old.inputs, new.inputs)
    yield from _removed("SIG503", "output", old.name, old.outputs, new.outputs)
    for name in new.inputs:
        if name not in old.inputs:
            yield _added_input(new, name)
    yield from _added_outputs(old, new)
    for name in sorted(old.inputs.keys() & new.inputs.keys()):
        yield from _tensor("input", old.name, name, old.inputs[name], new.inputs[name])
    for name in sorted(old.outputs.keys() & new.outputs.keys()):
        yield from _tensor("output", old.name, name, old.outputs[name], new.outputs[name])


def _removed(
    code: str, kind: str, signature: str, old: Mapping[str, TensorInfo], new: Mapping[str, TensorInfo]
) -> Iterator[Finding]:
    """An input that a client still sends is refused over gRPC and in REST's row form; a missing output is missed."""
    consequence = "requests that send it are refused" if kind == "input" else "clients that read it fail"
    for name in old:
        if name not in new:
            message = f"{kind} {name!r} is gone, and {consequence}; keep it, or serve this as another model"
            yield Finding(code, "error", signature, name, message)


def _added_input(new: Signature, name: str) -> Finding:
    if name in new.defaults:
        message = f"input {name!r} is new, and its default holds over gRPC only; REST clients must send it"
        return Finding("SIG504", "warning", new.name, name, message)
    message = f"input {name!r} is new, and requests without it are refused; serve this as another model"
    return Finding("SIG504", "error", new.name, name, message)


def _added_outputs(old: Signature, new: Signature) -> Iterator[Finding]:
    """REST leaves the name of a lone output away, so a second one changes the form of the answer."""
    for name in new.outputs:
        if name in old.outputs:
            continue
        if len(old.outputs) == 1:
            message = f"output {name!r} is new, and REST answers named values where it answered a bare one; keep one"
            yield Finding("SIG509", "error", new.name, name, message)
        else:
            yield Finding("SIG509", "info", new.name, name, f"output {name!r} is new")


def _tensor(kind: str, signature: str, name: str, old: TensorInfo, new: TensorInfo) -> Iterator[Finding]:
    if old.dtype != new.dtype:
        message = f"{kind} {name!r} was {old.dtype} and is {new.dtype}, and no side casts; keep the dtype"
        yield Finding("SIG505", "error", signature, name, message)
    if old.shape == new.shape:
        return
    severity: Optional[Severity]
    if kind == "input":  # clients send what the old shape allowed
        severity, change = ("info", "wider") if allows(new.shape, old.shape) else ("error", "narrower")
    else:  # clients read what the old shape promised
        severity, change = ("info", "narrower") if allows(old.shape, new.shape) else ("warning", "wider")
        severity = severity if _same_rank(old.shape, new.shape) else "error"
    cure = "" if severity == "info" else "; keep the shape"
    message = f"{kind} {name!r} was {_text(old.shape)} and is {_text(new.shape)}, which is {change}{cure}"
    yield Finding("SIG506", severity, signature, name, message)


def allows(wide: Shape, narrow: Shape) -> bool:
    """True when every tensor of the second shape has the first one."""
    if wide is None:
        return True
    if narrow is None or len(wide) != len(narrow):
        return False
    return all(size is None or size == other for size, other in zip(wide, narrow))


def _same_rank(old: Shape, new: Shape) -> bool:
    return old is None or new is None or len(old) == len(new)


def _text(shape: Shape) -> str:
    return "of any rank" if shape is None else f"[{', '.join('?' if size is None else str(size) for size in shape)}]"
