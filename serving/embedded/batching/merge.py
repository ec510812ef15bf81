"""The rows of several requests as one batch, and the batch's answers as each request's own.

Padding is the real server's: in the inner dimensions with the *first element* of the request's own tensor, not with 0;
in the rows, up to an allowed batch size, with the first row of the last request.
"""

from __future__ import annotations

from typing import List, Sequence, Tuple

import numpy as np

from serving.embedded.errors import StatusError, invalid_argument

_MOST_DIMENSIONS = 6
"""That can be padded."""


def rows(values: Sequence[np.ndarray]) -> int:
    """The size of dimension 0, which all inputs of a request share. Raises StatusError when they do not."""
    if not values:
        raise invalid_argument("Batching Run() must have at least one input tensor")
    for value in values:
        if value.ndim == 0:
            raise invalid_argument("Batching Run() input tensors must have at least one dimension")
        if len(value) != len(values[0]):
            raise invalid_argument("Batching Run() input tensors must have equal 0th-dimension size")
    return len(values[0])


def allowed(size: int, sizes: Sequence[int]) -> int:
    """The first allowed batch size that holds `size` rows; `size` itself where none does or none is listed."""
    return next((each for each in sizes if each >= size), size)


def merged(tensor: str, values: Sequence[np.ndarray], pads: bool, extra_rows: int) -> np.ndarray:
    """One input of all requests, below each other, with `extra_rows` rows behind. Raises StatusError.

    tensor: its name, for the message.
    """
    parts = [_padded(value, _largest(values)) for value in values] if pads else list(values)
    if any(part.shape[1:] != parts[0].shape[1:] for part in parts):
        raise StatusError("FAILED_PRECONDITION", f"Tensors with name '{tensor}' from different tasks have different "
                          "shapes and padding is turned off.Set pad_variable_length_inputs to true, or ensure that all "
                          "tensors with the same namehave equal dimensions starting with the first dim.")
    if extra_rows:
        parts.append(np.repeat(parts[-1][:1], extra_rows, axis=0))
    return np.concatenate(parts) if len(parts) > 1 else parts[0]


def split(answer: np.ndarray, sizes: Sequence[int], extra_rows: int) -> List[np.ndarray]:
    """One output, cut into the rows of each request; the rows behind are dropped. Raises StatusError."""
    if answer.ndim == 0:
        raise StatusError("FAILED_PRECONDITION", "Batched output tensor has 0 dimensions")
    if len(answer) != sum(sizes) + extra_rows:
        raise StatusError("FAILED_PRECONDITION", "Batched output tensor's 0th dimension does not equal the sum of the "
                          "0th dimension sizes of the input tensors")
    ends = np.cumsum(sizes)
    return [answer[end - size:end] for size, end in zip(sizes, ends)]


def _largest(values: Sequence[np.ndarray]) -> Tuple[int, ...]:
    """The size of each inner dimension over all requests; nothing where they differ in rank, so that none is padded."""
    if any(value.ndim != values[0].ndim for value in values):
        return ()
    return tuple(max(sizes) for sizes in zip(*(value.shape[1:] for value in values)))


def _padded(value: np.ndarray, inner: Tuple[int, ...]) -> np.ndarray:
    if not inner or value.shape[1:] == inner:
        return value
    if value.ndim > _MOST_DIMENSIONS:
        raise invalid_argument("Only tensors with rank from 1 to 6 can be padded.")
    if value.size == 0 and len(value):
        raise invalid_argument("Got empty tensor in batch of non-empty tensors.")
    filler = value.reshape(-1)[0] if len(value) else 0
    wide = np.full((len(value), *inner), filler, value.dtype)
    wide[tuple(slice(size) for size in value.shape)] = value
    return wide
