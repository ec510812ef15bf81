"""What is known of an input, and how cells for it are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Optional, Tuple

import numpy as np

from signatures.saved_model import Shape

Request = Dict[str, np.ndarray]
"""By input; text as objects of bytes."""


@dataclass(frozen=True)
class Input:
    """One input of the signature, and what is known of its cells."""

    name: str
    dtype: str
    shape: Shape
    role: str = "unknown"
    """feature, length, request: from the manifest, or `length` where its name says so. Of a sparse or ragged input,
    which the signature has as several: values, indices, dense_shape, splits."""
    length: Optional[str] = None
    """The input that says how many cells of this one are valid."""
    kind: str = ""
    """The kind of its feature, where the manifest says: categorical, numeric, bag, sequence, dense."""

    batched: bool = True
    """True when its first axis is the batch."""

    @property
    def is_number(self) -> bool:
        """True for what is measured, not looked up."""
        return self.dtype.startswith(("float", "bfloat"))

    @property
    def is_id(self) -> bool:
        """True for what may be looked up: integers and text that do not count cells or results."""
        return self.dtype.startswith(("int", "uint", "string")) and self.role in ("feature", "unknown")


@dataclass(frozen=True)
class Recipe:
    """How cells are drawn."""

    below: int = 10
    """Integers are drawn from 0 to this, exclusive: they may be rows of a small table."""
    width: int = 5
    """Size of every free axis but the batch."""
    rank: int = 1
    """Axes of an input of unknown rank."""
    texts: Tuple[bytes, ...] = ()
    integers: Tuple[int, ...] = ()
    """Ids that the model may know."""
    guessed: bool = False
    """The texts are no more than guesses, so that it may know none of them."""
