"""One experiment: which model, on which tasks and features, trained how. A YAML file, every key checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Literal, Mapping, Optional, Sequence, Tuple

import pydantic
import yaml

from pipeline.models import registry
from pipeline.plan import Plan
from pipeline.schema import describe
from signatures.errors import UsageError

FOLDER = Path(__file__).parent / "experiments"
STUDY_KEYS = (
    *("title", "question", "dataset", "prepare", "seeds", "figures", "chosen_by", "baselines", "protocol", "goals"),
    "result",
)
"""Of `signet experiment MODEL`, see `pipeline.studies.form`: they say what is asked, not how one run is trained."""


class _Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Training(_Part):
    """How to train; counts in batches unless a name says otherwise."""

    epochs: int = pydantic.Field(20, ge=1)
    optimizer: Literal["adam", "adamw", "adagrad", "sgd"] = "adam"
    learning_rate: float = pydantic.Field(1e-3, gt=0)
    weight_decay: float = pydantic.Field(0.0, ge=0)
    """Decoupled, for adamw; per step, times the learning rate."""
    momentum: float = pydantic.Field(0.0, ge=0, lt=1)
    """Of sgd."""
    embedding_updates: Literal["dense", "lazy"] = "dense"
    """dense: every row of a table moves in every step; lazy: the rows of the batch, so that a step costs the same
    however many rows there are. Lazily updated tables of one width are one variable."""
    embedding_l2: float = pydantic.Field(0.0, ge=0)
    """L2 on the rows of the batch, for lazy updates."""
    clip_norm: Optional[float] = pydantic.Field(None, gt=0)
    """Largest norm of all gradients together."""
    accumulate: int = pydantic.Field(1, ge=1)
    """Batches whose mean gradient makes one step."""
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    task_weights: Dict[str, float] = {}
    """Of each task's loss in the total; 1 where absent."""
    monitor: Literal["auc", "gauc", "hr@10", "ndcg@10", "log_loss"] = "auc"
    """The figure on the validation part that picks the best epoch."""
    patience: int = pydantic.Field(5, ge=1)
    """Epochs without a better figure before training stops."""
    plateau_patience: int = pydantic.Field(2, ge=1)
    """Epochs without a better figure before the learning rate falls."""
    plateau_factor: float = pydantic.Field(0.5, gt=0, le=1)
    minimum_learning_rate: float = pydantic.Field(1e-5, ge=0)
    checkpoint_batches: Optional[int] = pydantic.Field(None, ge=1)
    """Checkpoints inside an epoch, every so many batches; one at the end of each epoch is always written."""
    batches_per_call: int = pydantic.Field(1, ge=1)
    """Keras' steps_per_execution."""

    @pydantic.model_validator(mode="after")
    def _check_what_belongs_together(self) -> Training:
        if self.embedding_l2 and self.embedding_updates != "lazy":
            raise ValueError(f"embedding_l2 is {self.embedding_l2}, which needs embedding_updates: lazy; set it")
        if self.momentum and self.optimizer != "sgd":
            raise ValueError(f"momentum is {self.momentum}, but {self.optimizer} has its own; leave it out or use sgd")
        if self.weight_decay and self.optimizer != "adamw":
            raise ValueError(f"weight_decay is {self.weight_decay}, which {self.optimizer} ignores; use adamw")
        return self


class Gates(_Part):
    """What an export must reach."""

    metric: str = "auc"
    minimum: float = 0.5
    """Floor of that figure on the test part."""
    above_popularity: bool = True
    """Whether the figure must also be above popularity's, where popularity has one."""
    retrieval_recall: float = pydantic.Field(0.95, ge=0, le=1)
    """Least share of the truly best items, 10 and 100 of them, that each retrieval signature must find."""


class Retrieval(_Part):
    """How the best items of all are found, for the signatures that retrieve."""

    index: Literal["auto", "exact", "inverted_file"] = "auto"
    """exact: every item is scored; inverted_file: those of the blocks that look best; auto: by the number of items."""
    exact_items: int = pydantic.Field(100_000, ge=1)
    """What auto searches exactly; an inverted file beyond. At 100,000 it is 3 to 4 times faster for one user, at 50,000
    hardly."""
    lists: Optional[int] = pydantic.Field(None, ge=1)
    """k-means lists of the inverted file and leaves of ScaNN; the power of two next to the root of the number of items
    unless given."""
    probes: Optional[int] = pydantic.Field(None, ge=1)
    """Blocks of 64 items that the inverted file scores for a user; unless given, the fewest that reach `recall`."""
    recall: float = pydantic.Field(0.97, gt=0, le=1)
    """Of users of the validation part, by which the number of probes is chosen. Above the gate's, as users differ."""
    scann: bool = False
    """Also exports `retrieve_scann`, which needs a server with ScaNN's ops."""


class Experiment(_Part):
    """Everything that decides a run besides the data."""

    model: str
    tasks: Tuple[str, ...] = pydantic.Field(min_length=1)
    features: Optional[Tuple[str, ...]] = None
    """The features the model may read; all of the schema unless given."""
    history_length: Optional[int] = pydantic.Field(None, ge=1)
    """The newest cells of every sequence that the model may read; all that were prepared unless given."""
    parameters: Dict[str, Any] = {}
    """Of the model; see the config in its file."""
    data: Plan = Plan()
    training: Training = Training()
    gates: Gates = Gates()
    retrieval: Retrieval = Retrieval()
    seed: int = 1


def load(
    model: str,
    path: Optional[Path] = None,
    overrides: Sequence[str] = (),
    settings: Optional[Mapping[str, Any]] = None,
) -> Experiment:
    """The experiment of a model: its own file unless a path is given, with overrides on top.

    overrides: as people write them, `key.key=value`. settings: the same as plain data, {dotted key: value}, below them.
    Raises UsageError naming the key, the value and the remedy.
    """
    registry.load(model)
    source = FOLDER / f"{model}.yaml" if path is None else path
    content = {key: value for key, value in read(source).items() if key not in STUDY_KEYS}
    if "runs" in content:
        raise UsageError(f"{source} holds several runs, not one experiment; run: signet experiment {source.stem}")
    for key, value in (settings or {}).items():
        _put(content, key, value, f"set {key}")
    for override in overrides:
        _set(content, override)
    if content.setdefault("model", model) != model:
        raise UsageError(f"{source} is for model {content['model']!r}, not {model!r}; name the right file or model")
    said = [f"set {key}={value}" for key, value in (settings or {}).items()]
    return parse(content, " ".join([str(source), *said, *(f"--set {each}" for each in overrides)]))


def parse(content: Dict[str, Any], source: str) -> Experiment:
    """An experiment from plain data, with the model's own parameters checked too."""
    try:
        experiment = Experiment.model_validate(content)
    except pydantic.ValidationError as error:
        raise UsageError(f"{source}: {describe(error, content)}") from error
    model_config(experiment, source)
    return experiment


def model_config(experiment: Experiment, source: str = "parameters") -> Any:
    """The model's own config from `parameters`. Raises UsageError for an unknown key or a bad value."""
    spec = registry.load(experiment.model)
    try:
        return spec.config.model_validate(experiment.parameters)
    except pydantic.ValidationError as error:
        known = ", ".join(spec.config.model_fields)
        place = describe(error, experiment.parameters)
        raise UsageError(f"{source}: parameter {place} (parameters of {experiment.model}: {known})") from error


def save(experiment: Experiment, path: Path) -> None:
    """Writes the experiment as YAML that `load` reads back."""
    content = experiment.model_dump(mode="json")
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def read(path: Path) -> Dict[str, Any]:
    """The file's content. Raises UsageError for one that is no mapping."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"experiment file {path} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise UsageError(f"experiment file {path} is empty or no mapping; it needs at least 'model' and 'tasks'")
    return content


def _set(content: Dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals:
        raise UsageError(f"override {override!r} has no value; write key.key=value, such as training.epochs=3")
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise UsageError(f"override {override!r} has a value that is no YAML; put quotes around a text") from error
    _put(content, key, parsed, f"override {override!r}")


def _put(content: Dict[str, Any], key: str, value: Any, what: str) -> None:
    *parents, last = key.split(".")
    here = content
    for parent in parents:
        here = here.setdefault(parent, {})
        if not isinstance(here, dict):
            raise UsageError(f"{what}: {parent!r} has no keys of its own")
    here[last] = value
