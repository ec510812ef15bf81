"""What a row means: its features, labels, masks, sample weights and tasks. Strict: an unknown key is an error."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Dict, Iterator, List, Literal, Optional, Tuple, Union

import pydantic
import yaml
from typing_extensions import Annotated

from signatures.errors import UsageError

Side = Literal["user", "item", "context", "cross"]
IdType = Literal["int64", "string"]

_KINDS = ("categorical", "numeric", "bag", "sequence", "dense")


class _Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Column(_Part):
    """One raw input of the wire: a column of the table and an argument of a signature.

    Shape of the cell, without the batch: () for a value, (None,) for a list, (W,) for a vector.
    """

    name: str
    dtype: Literal["int64", "string", "float32"]
    shape: Tuple[Optional[int], ...] = ()
    length: Optional[str] = None
    """The column with the number of valid cells, for a list."""
    maximum_length: Optional[int] = None
    role: Literal["feature", "length"] = "feature"


class _Feature(_Part):
    name: str
    side: Side


class _Ids(_Part):
    """How raw ids become embedding rows: 0 missing or padding, 1 out of vocabulary, 2… the vocabulary.

    With `hash_buckets` n: 0 missing, 1…n-1 the hash. `shares` names the feature whose vocabulary and table are used.
    """

    dtype: IdType = "int64"
    hash_buckets: Optional[int] = None
    minimum_count: int = pydantic.Field(1, ge=1)
    """Ids seen less often in the training part are out of vocabulary."""
    shares: Optional[str] = None

    @pydantic.model_validator(mode="after")
    def _check_ids(self) -> _Ids:
        if self.hash_buckets is not None and self.hash_buckets < 2:
            raise ValueError(
                f"hash_buckets is {self.hash_buckets}, but row 0 is reserved for missing cells; use at least 2"
            )
        if self.shares is not None and self.hash_buckets is not None:
            raise ValueError("hash_buckets and shares exclude each other; drop one of them")
        return self


class Categorical(_Feature, _Ids):
    """One id. Missing is -1 or the empty string."""

    kind: Literal["categorical"]

    def columns(self) -> Tuple[Column, ...]:
        return (Column(name=self.name, dtype=self.dtype),)


class Numeric(_Feature):
    """One number. Missing is NaN; it becomes 0 after scaling, or bucket 0."""

    kind: Literal["numeric"]
    transform: Literal["none", "standardise", "log1p", "log1p_standardise", "bucketise"] = "standardise"
    boundaries: Optional[Tuple[float, ...]] = None
    """Edges of the buckets; learned as quantiles where `quantiles` says how many."""
    quantiles: Optional[int] = pydantic.Field(None, ge=2, le=1024)
    clip: Optional[Tuple[float, float]] = None
    """Raw values outside are set to the nearer end, before any scaling."""

    @pydantic.model_validator(mode="after")
    def _check_buckets(self) -> Numeric:
        given = (self.boundaries is not None) + (self.quantiles is not None)
        if self.transform == "bucketise" and given != 1:
            raise ValueError("transform is bucketise; give exactly one of boundaries and quantiles")
        if self.transform != "bucketise" and given:
            raise ValueError(f"boundaries and quantiles need transform bucketise, not {self.transform}")
        if self.boundaries is not None and list(self.boundaries) != sorted(set(self.boundaries)):
            raise ValueError(f"boundaries are {list(self.boundaries)}; list them in increasing order, each once")
        if self.clip is not None and self.clip[0] >= self.clip[1]:
            raise ValueError(f"clip is {list(self.clip)}; the first end must be below the second")
        return self

    def columns(self) -> Tuple[Column, ...]:
        return (Column(name=self.name, dtype="float32"),)


class Bag(_Feature, _Ids):
    """Several ids without an order, such as genres."""

    kind: Literal["bag"]
    maximum_length: int = pydantic.Field(16, ge=1)

    def columns(self) -> Tuple[Column, ...]:
        return _list_columns(self.name, self.dtype, self.maximum_length)


class SideSequence(_Ids):
    """Ids in step with a sequence, such as the ratings a user gave to the films of the history."""

    name: str

    def column(self, sequence: Sequence) -> Column:
        return Column(
            name=self.name,
            dtype=self.dtype,
            shape=(None,),
            length=f"{sequence.name}_length",
            maximum_length=sequence.maximum_length,
        )


class Sequence(_Feature, _Ids):
    """Ids in order, oldest first, cut to the newest `maximum_length`."""

    kind: Literal["sequence"]
    maximum_length: int = pydantic.Field(50, ge=1)
    side_sequences: Tuple[SideSequence, ...] = ()
    times: Optional[str] = None
    """Column of the Unix seconds at which each cell happened."""

    def columns(self) -> Tuple[Column, ...]:
        cells, length = _list_columns(self.name, self.dtype, self.maximum_length)
        aside = tuple(side.column(self) for side in self.side_sequences)
        if self.times is None:
            return (cells, length, *aside)
        times = cells.model_copy(update={"name": self.times, "dtype": "int64"})
        return (cells, length, *aside, times)


class Dense(_Feature):
    """A vector computed elsewhere, such as an image embedding."""

    kind: Literal["dense"]
    width: int = pydantic.Field(ge=1)

    def columns(self) -> Tuple[Column, ...]:
        return (Column(name=self.name, dtype="float32", shape=(self.width,)),)


Feature = Annotated[Union[Categorical, Numeric, Bag, Sequence, Dense], pydantic.Field(discriminator="kind")]


class Named(_Part):
    """A label, mask or sample weight: a number of the row that exists in training only."""

    name: str


class Task(_Part):
    """One thing to predict. The mask says whether a row counts in this task's loss, the weight how much."""

    name: str
    kind: Literal["binary", "next_item"] = "binary"
    label: str
    mask: Optional[str] = None
    sample_weight: Optional[str] = None


class Roles(_Part):
    """Which columns identify a row; what cannot be named cannot be split, grouped or sampled by."""

    user: Optional[str] = None
    item: Optional[str] = None
    time: Optional[str] = None
    """Unix seconds; needs not be a feature."""


class Schema(_Part):
    """A table's meaning. Raises UsageError from `load` with the feature, the value and the cure."""

    name: str
    features: Tuple[Feature, ...] = pydantic.Field(min_length=1)
    labels: Tuple[Named, ...] = ()
    masks: Tuple[Named, ...] = ()
    sample_weights: Tuple[Named, ...] = ()
    tasks: Tuple[Task, ...] = ()
    roles: Roles = Roles()

    @pydantic.model_validator(mode="after")
    def _check(self) -> Schema:
        _check_names(self)
        _check_sharing(self)
        _check_tasks(self)
        return self

    def feature(self, name: str) -> Any:
        """The feature of this name; UsageError if there is none."""
        for feature in self.features:
            if feature.name == name:
                return feature
        raise UsageError(f"feature {name!r} is not in schema {self.name!r}; its features are {self.feature_names}")

    @property
    def feature_names(self) -> Tuple[str, ...]:
        return tuple(f.name for f in self.features)

    def columns(self, side: Optional[Side] = None) -> Tuple[Column, ...]:
        """Raw columns of the features, of one side or of all, in order."""
        return tuple(c for f in self.features if side in (None, f.side) for c in f.columns())

    def task(self, name: str) -> Task:
        for task in self.tasks:
            if task.name == name:
                return task
        raise UsageError(f"task {name!r} is not in schema {self.name!r}; its tasks are {[t.name for t in self.tasks]}")

    @property
    def training_only(self) -> Tuple[str, ...]:
        """Names of all labels, masks and sample weights."""
        return tuple(part.name for part in (*self.labels, *self.masks, *self.sample_weights))

    def select(self, features: Tuple[Any, ...], tasks: Tuple[str, ...]) -> Schema:
        """The same schema with these features and tasks, and only the labels, masks and weights they need."""
        kept = tuple(self.task(name) for name in tasks)
        return self.model_copy(
            update={
                "features": features,
                "tasks": kept,
                "labels": _needed(self.labels, [t.label for t in kept]),
                "masks": _needed(self.masks, [t.mask for t in kept]),
                "sample_weights": _needed(self.sample_weights, [t.sample_weight for t in kept]),
            }
        )

    @property
    def hash(self) -> str:
        """Hexadecimal digest of the whole content."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


def load(path: Path) -> Schema:
    """Reads a schema from YAML. Raises UsageError naming the place, the value and the cure."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"schema file {path} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise UsageError(f"schema file {path} holds {type(content).__name__}; it must be a mapping with 'features'")
    return parse(content, str(path))


def parse(content: Dict[str, Any], source: str) -> Schema:
    """A schema from plain data; `source` is named in the errors."""
    try:
        return Schema.model_validate(content)
    except pydantic.ValidationError as error:
        raise UsageError(f"{source}: {describe(error, content)}") from error


def save(schema: Schema, path: Path) -> None:
    """Writes the schema as YAML that `load` reads back."""
    content = schema.model_dump(mode="json", exclude_defaults=True)
    for dumped, feature in zip(content["features"], schema.features):
        dumped["kind"] = feature.kind
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")


def describe(error: pydantic.ValidationError, content: Any) -> str:
    """The first problem of a validation error, in one sentence."""
    problem: Dict[str, Any] = dict(error.errors()[0])
    place = _place(problem["loc"], content)
    if problem["type"] == "extra_forbidden":
        return f"{place} is unknown (value {problem['input']!r}); remove it or correct its spelling"
    if problem["type"] == "missing":
        return f"{place} is missing; add it"
    if problem["type"] in ("union_tag_invalid", "union_tag_not_found"):
        kind = problem["input"].get("kind") if isinstance(problem["input"], dict) else None
        return f"{place}: kind is {kind!r}; choose one of {', '.join(_KINDS)}"
    if problem["type"] in ("model_type", "dict_type", "model_attributes_type"):
        return f"{place} is {problem['input']!r}; write a mapping such as {{name: {_as_name(problem['input'])}}}"
    message = str(problem["msg"])
    if problem["type"] == "value_error":
        return f"{place}: {message.replace('Value error, ', '', 1)}" if place else message.replace("Value error, ", "")
    return f"{place} is {problem['input']!r}: {message[0].lower()}{message[1:]}"


def _as_name(value: Any) -> str:
    """What somebody who wrote a bare name most likely meant by it."""
    return value if isinstance(value, str) and value else "NAME"


def _place(loc: Tuple[Any, ...], content: Any) -> str:
    """`features.3.kind` as `feature 'age' kind`: what a person would say instead of counting."""
    words: List[str] = []
    here = content
    for step in loc:
        if isinstance(here, (list, tuple)) and isinstance(step, int):
            here = here[step] if step < len(here) else None
            named = isinstance(here, dict) and "name" in here
            words[-1:] = [word[:-1] if word.endswith("s") else word for word in words[-1:]]
            words.append(repr(here["name"]) if isinstance(here, dict) and named else f"number {step + 1}")
        elif isinstance(here, dict) and step in here:
            here = here[step]
            words.append(str(step))
        elif step not in _KINDS:
            words.append(str(step))
    return " ".join(words)


def _list_columns(name: str, dtype: IdType, maximum_length: int) -> Tuple[Column, Column]:
    length = f"{name}_length"
    return (
        Column(name=name, dtype=dtype, shape=(None,), length=length, maximum_length=maximum_length),
        Column(name=length, dtype="int64", role="length"),
    )


def _needed(parts: Tuple[Named, ...], names: List[Any]) -> Tuple[Named, ...]:
    return tuple(part for part in parts if part.name in names)


def _check_names(schema: Schema) -> None:
    seen: Dict[str, str] = {}
    for name, what in _all_names(schema):
        if name in seen:
            raise ValueError(f"{what} {name!r} has the name of a {seen[name]}; rename one of them")
        seen[name] = what


def _all_names(schema: Schema) -> Iterator[Tuple[str, str]]:
    for feature in schema.features:
        for column in feature.columns():
            yield column.name, f"column of feature {feature.name!r}"
    for what, parts in (("label", schema.labels), ("mask", schema.masks), ("sample weight", schema.sample_weights)):
        for part in parts:
            yield part.name, what


def _check_sharing(schema: Schema) -> None:
    owners = {f.name: f for f in schema.features if isinstance(f, _Ids)}
    users: List[Any] = [*owners.values()]
    users += [s for f in schema.features if isinstance(f, Sequence) for s in f.side_sequences]
    for part in users:
        if part.shares is None:
            continue
        owner = owners.get(part.shares)
        if owner is None or owner.shares is not None:
            raise ValueError(
                f"feature {part.name!r} shares {part.shares!r}, which is no feature with a table of its own; "
                f"name one of {[n for n, o in owners.items() if o.shares is None]}"
            )
        if owner.dtype != part.dtype:
            raise ValueError(
                f"feature {part.name!r} has dtype {part.dtype} and shares {part.shares!r} of dtype {owner.dtype}; "
                "give both the same dtype"
            )


def _check_tasks(schema: Schema) -> None:
    for task in schema.tasks:
        for what, name, parts in (
            ("label", task.label, schema.labels),
            ("mask", task.mask, schema.masks),
            ("sample_weight", task.sample_weight, schema.sample_weights),
        ):
            names = [part.name for part in parts]
            if name is not None and name not in names:
                raise ValueError(f"task {task.name!r}: {what} {name!r} is not declared; declared are {names}")
        if task.kind == "next_item" and schema.roles.item not in schema.feature_names:
            raise ValueError(f"task {task.name!r} is next_item; set roles.item to a categorical feature")
