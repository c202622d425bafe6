"""A diffusers pipeline in the model hub → a local folder with the files that are needed of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from guidance.models.folder import Fetch
from guidance.models.pipeline_config import CONFIG, INDEX, Part, Plan, read_plan
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
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    missed: dict[str, EntryNotFoundError] = {}

    def fetch(file: str) -> Path | None:
        try:
            return Path(hf_hub_download(name, file))
        except EntryNotFoundError as error:  # not in the repository or, offline, not in the cache
            missed[file] = error
            if missed.keys() >= {CONFIG, INDEX}:
                _raise_if_offline(error)
            return None

    plan = read_plan(fetch, name)
    check(plan)
    for part in plan.networks:
        if not _fetch_weights(fetch, part, half and part is plan.unet):
            _raise_if_offline(list(missed.values())[-1])
    for part in plan.tokenizers:
        found = [fetch(f"{part.folder}/{file}") for file in TOKENIZER_FILES]  # all there are
        if not any(found):
            _raise_if_offline(list(missed.values())[-1])
    index = fetch(INDEX) or fetch(CONFIG)
    return index.parent


def _fetch_weights(fetch: Fetch, part: Part, half: bool) -> bool:
    """Download the weights of a part; return whether there are any."""
    weights = weights_of(fetch, part, half)
    if weights is None:
        return False
    if weights[0].endswith(".json"):  # a list of several files
        listed = fetch(weights[0])
        files = json.loads(listed.read_text(encoding="utf-8"))["weight_map"].values()
        for file in sorted(set(files)):
            fetch(f"{part.folder}/{file}" if part.folder else file)
    return True


def _raise_if_offline(error: Exception) -> None:
    if isinstance(error, FileNotFoundError):  # not in the cache; otherwise not in the repository
        raise error
