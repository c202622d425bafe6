"""A diffusers pipeline in the model hub → a local folder with the files that are needed of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from guidance.models.folder import CONFIG, INDEX, InHub
from guidance.models.pipeline_config import Part, Plan, read_plan
from guidance.models.pipeline_parts import TOKENIZER_FILES, weights_of


def download(name: str, *, half: bool, check: Callable[[Plan], None]) -> Path:
    """Return the cache's folder of a pipeline, after a download of what is not there yet.

    Args:
        name: ``owner/name``.
        half: of the UNet, rather take weights in half precision.
        check: called before anything big is fetched, to refuse the pipeline.

    Raises:
        FileError, ModelError: as `read_plan`, and what `check` raises.
        Exception: whatever the hub's client raises when it is out of reach.
    """
    fetch = InHub(name)
    plan = read_plan(fetch, name)
    check(plan)
    for part in plan.networks:
        if not _fetch_weights(fetch, part, half and part is plan.unet):
            fetch.raise_if_offline()
    for part in plan.tokenizers:
        found = [fetch(f"{part.folder}/{file}") for file in TOKENIZER_FILES]  # all there are
        if not any(found):
            fetch.raise_if_offline()
    index = fetch(INDEX) or fetch.get(CONFIG)
    return index.parent


def _fetch_weights(fetch: InHub, part: Part, half: bool) -> bool:
    """Download the weights of a part; return whether there are any."""
    weights = weights_of(fetch, part, half)
    if weights is None:
        return False
    if weights[0].endswith(".json"):  # a list of several files
        listed = fetch.get(weights[0])
        files = json.loads(listed.read_text(encoding="utf-8"))["weight_map"].values()
        for file in sorted(set(files)):
            fetch(f"{part.folder}/{file}" if part.folder else file)
    return True
