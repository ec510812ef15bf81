"""Requests made from nothing but a signature, and other values for one that is answered."""

from __future__ import annotations

import math
from typing import Callable, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from signatures.execution.recipe import Input, Recipe, Request
from signatures.execution.words import PLAIN, Known

ROWS = 6
EXTREME = 1e6
"""Large, and yet what a price, a count or a distance may be: its sixth power is still a float32."""
LARGEST_CELLS = 2**24
"""Cells of one input; what wants more is not asked."""


def recipes(known: Known) -> Iterator[Recipe]:
    """From the likeliest on."""
    for texts in filter(None, (known.texts, PLAIN, known.serialized)):
        for rank in (1, 2, 0):
            for width in (5, 1):
                for below in (10, 2, 1):
                    guessed = texts is PLAIN
                    yield Recipe(below, width, rank, texts, known.integers, guessed)


PARTS = ("indices", "dense_shape", "splits")
"""Roles of what a sparse or ragged input comes with, beside its values."""


def make(inputs: Mapping[str, Input], recipe: Recipe, seed: int = 0, rows: int = ROWS) -> Optional[Request]:
    """A request with this many rows; None where an input is of no type or of a size that can be made."""
    draw = np.random.default_rng(seed)
    request: Request = {}
    for name, info in inputs.items():
        shape = _shape(info, recipe, rows)
        if math.prod(shape) > LARGEST_CELLS:
            return None
        cells = _part(info, shape, recipe) if info.role in PARTS else _cells(info, shape, recipe, draw)
        if cells is None:
            return None
        request[name] = cells
    return request


def _shape(info: Input, recipe: Recipe, rows: int) -> Tuple[int, ...]:
    if info.shape is None:
        return (rows, *(recipe.width,) * (recipe.rank - 1)) if recipe.rank else ()
    free = [recipe.width if size is None else size for size in info.shape]
    if info.shape and info.shape[0] is None:
        free[0] = rows
    return tuple(free)


def _part(info: Input, shape: Tuple[int, ...], recipe: Recipe) -> np.ndarray:
    """What goes with the values of a sparse or ragged input that has one cell in each row."""
    rows = shape[0]
    if info.role == "splits":
        return np.arange(rows + 1).astype(info.dtype)
    if info.role == "indices":
        return np.stack([np.arange(rows), *(np.zeros(rows, int) for _ in range(shape[1] - 1))], 1).astype(info.dtype)
    return np.array([ROWS, *(recipe.width for _ in range(rows - 1))], info.dtype)


def _cells(info: Input, shape: Tuple[int, ...], recipe: Recipe, draw: np.random.Generator) -> Optional[np.ndarray]:
    if info.role == "length":
        return draw.integers(1, recipe.width + 1, shape).astype(info.dtype)
    if info.dtype == "bool":
        return draw.integers(0, 2, shape).astype(bool)
    if info.dtype == "string":
        return texts(recipe.texts, draw.integers(0, len(recipe.texts), shape))
    if info.dtype.startswith(("int", "uint")):
        return draw.integers(0, recipe.below, shape).astype(info.dtype)
    if info.is_number:
        # bfloat16 is no type of numpy's: the session makes it one
        # prices, counts, shares: what is measured is seldom negative
        return np.abs(draw.normal(size=shape)).astype("float32" if info.dtype == "bfloat16" else info.dtype)
    return None


def texts(words: Sequence[bytes], index: np.ndarray) -> np.ndarray:
    """The words at these places, as objects."""
    flat = np.empty(index.size, object)
    flat[:] = [words[place] for place in index.reshape(-1)]
    return flat.reshape(index.shape)


def filled(cells: np.ndarray, value: object) -> np.ndarray:
    """An array like this one that holds one value everywhere."""
    made = np.empty(cells.shape, cells.dtype)
    made[...] = value
    return made


def zero(cells: np.ndarray) -> np.ndarray:
    """Nothing at all: 0, False, or no text."""
    return filled(cells, b"" if cells.dtype == object else 0)


def extremes(cells: np.ndarray) -> List[np.ndarray]:
    """Large numbers of both signs, where the dtype holds them."""
    largest = float(np.finfo(cells.dtype).max)
    return [filled(cells, sign * min(EXTREME, largest / 2)) for sign in (1, -1)]


def others(cells: np.ndarray, recipe: Recipe, seed: int = 1) -> List[np.ndarray]:
    """Arrays of other values that the same input may have, the likeliest first."""
    draw = np.random.default_rng(seed)
    found = [np.roll(cells, shift, axis=0) for shift in (1, 2, 3)] if cells.ndim else []
    if cells.dtype == object:
        known = recipe.texts
        drawn = [texts(known, draw.integers(0, len(known), cells.shape)) for _ in range(8)] if known else []
        found += [*drawn, zero(cells), filled(cells, b"signet")]
    elif cells.dtype == bool:
        found += [~cells, zero(cells), filled(cells, True)]
    elif cells.dtype.kind in "iu":
        found += [draw.integers(0, below, cells.shape).astype(cells.dtype) for below in (2, 10, 10, 100, 10_000)]
        limits = np.iinfo(cells.dtype)
        ids = [each for each in recipe.integers if limits.min <= each <= limits.max]
        found += [draw.choice(np.array(ids), cells.shape).astype(cells.dtype) for _ in range(8 if ids else 0)]
        found.append(zero(cells))
    else:
        found += [(draw.normal(size=cells.shape) * scale).astype(cells.dtype) for scale in (1, 1, 100, 1e4)]
        found += [zero(cells), filled(cells, 1), filled(cells, -1)]
        found += extremes(cells)
    return [each for each in found if not np.array_equal(each, cells)]


def answered(
    inputs: Mapping[str, Input], tried: Iterator[Recipe], ask: Callable[[Request], bool]
) -> Optional[Tuple[Request, Recipe]]:
    """The first made request that is answered, and how it was made. `ask` says whether one was."""
    seen = set()
    for recipe in tried:
        request = make(inputs, recipe)
        if request is None:
            return None
        key = tuple((name, cells.shape, cells.tobytes()) for name, cells in request.items() if cells.dtype != object)
        if (key, recipe.texts) in seen:
            continue  # the inputs leave the recipe no choice
        seen.add((key, recipe.texts))
        if ask(request):
            return request, recipe
    return None
