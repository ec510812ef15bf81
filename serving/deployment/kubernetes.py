"""Kubernetes manifests: one Deployment, with what belongs to it, for each model, and a volume for the exports."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Dict, Sequence

import jinja2

from serving.deployment.images import gpu_image, image, memory_mebibytes
from serving.deployment.inside import METRICS_PATH, Inside
from serving.deployment.served import Served
from serving.deployment.server_files import SESSION, configs, flags, gpu_flags
from serving.launch import CONFIG_NAME
from signatures.errors import UsageError

CORES = 4
DRAIN_SECONDS = 20
CLAIM = "signet-exports"

_VERSIONS_KEPT = 10
# The longest name of what belongs to a model, NAME-config, may have as many characters as a label.
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,54}[a-z0-9])?")


def object_name(model: str) -> str:
    """A model's name as Kubernetes allows it: two_tower -> two-tower. Raises UsageError where that is none."""
    name = re.sub(r"[_.]", "-", model.lower())
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"model {model!r} cannot be named {name!r} in Kubernetes, which allows letters, digits and inner dashes, "
            "56 at most; rename the model"
        )
    return name


def manifests(
    models: Sequence[Served], inside: Inside, model_configs: Dict[str, str], session: str
) -> Dict[str, str]:
    """Manifests by path, such as cpu/din.yaml; the GPU's only for models whose image has such a variant.

    model_configs: models.config by the model's name; session: the GPU's session.config. Raises UsageError where two
    models get the same name.
    """
    names = [object_name(each.name) for each in models]
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise UsageError(f"two models would both be named {double[0]!r} in Kubernetes; rename one of them")
    found = {"volume.yaml": _volume(models)}
    for name, each in zip(names, models):
        found[f"cpu/{name}.yaml"] = _model(each, inside, {CONFIG_NAME: model_configs[each.name]})
        if gpu_image([each]) is not None:
            given = {CONFIG_NAME: model_configs[each.name], SESSION: session}
            found[f"gpu/{name}.yaml"] = _model(each, inside, given, gpu=True)
    return found


def _model(model: Served, inside: Inside, given: Dict[str, str], gpu: bool = False) -> str:
    files = {**configs([model], inside, CORES), **given}
    name = object_name(model.name)
    fixed = "\n".join(text for file, text in sorted(files.items()) if file != CONFIG_NAME)
    return _render(
        "model.yaml",
        model=model.name,
        name=name,
        labels=f"{{app.kubernetes.io/name: {name}, app.kubernetes.io/part-of: signet}}",
        image=gpu_image([model]) if gpu else image([model]),
        flags=(*flags([model], inside, CORES), *(gpu_flags(inside) if gpu else ())),
        configs=files,
        digest=hashlib.sha256(fixed.encode()).hexdigest()[:16],
        memory_mebibytes=memory_mebibytes([model], gpu),
        cpus=CORES,
        drain_seconds=DRAIN_SECONDS,
        claim=CLAIM,
        metrics_path=METRICS_PATH,
        inside=inside,
        gpu=gpu,
    )


def _volume(models: Sequence[Served]) -> str:
    needed = _VERSIONS_KEPT * sum(each.mebibytes for each in models)
    return _render("volume.yaml", claim=CLAIM, gibibytes=max(1, -(-needed // 1024)))


def _render(template: str, **values: object) -> str:
    folder = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    # Text protos and YAML, not HTML: nothing here is to be escaped for a browser.
    environment = jinja2.Environment(loader=folder, undefined=jinja2.StrictUndefined, autoescape=False)
    environment.keep_trailing_newline = True
    return environment.get_template(template).render(values)
