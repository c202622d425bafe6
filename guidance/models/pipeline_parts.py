"""The parts of a diffusers pipeline: which files hold their weights, and loading them.

Weights are safetensors, or else pickles that hold only tensors.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

from guidance.errors import ModelError, counted, line
from guidance.models.folder import CONFIG, Fetch
from guidance.models.pipeline_config import ENCODERS, Part

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
)
# names of weights: of safetensors and of pickles
_STEMS = ("diffusion_pytorch_model", "diffusion_pytorch_model")
_TEXT_STEMS = ("model", "pytorch_model")  # as transformers saves them


def weights_of(fetch: Fetch, part: Part, half: bool = False) -> tuple[str, str | None, bool] | None:
    """Return the file with the weights of a part, or with their list: the best there is.

    Args:
        fetch: finds files of the pipeline.
        half: look for half precision first.

    Returns:
        Its name in the pipeline, its variant (None or "fp16"), whether it is safetensors; None if
        there is no such file.
    """
    safe, pickled = _TEXT_STEMS if part.kind in ENCODERS else _STEMS
    variants = ("fp16", None) if half else (None, "fp16")
    for stem, suffix in ((safe, "safetensors"), (pickled, "bin")):
        for variant in variants:
            one = f"{stem}.{variant}.{suffix}" if variant else f"{stem}.{suffix}"
            several = f"{stem}.{suffix}.index" + (f".{variant}" if variant else "") + ".json"
            for file in (one, several):
                inside = f"{part.folder}/{file}" if part.folder else file
                if fetch(inside) is not None:
                    return inside, variant, suffix == "safetensors"
    return None


def load_network(
    folder: Path, fetch: Fetch, part: Part, name: str, dtype: torch.dtype = torch.float32
) -> nn.Module:
    """Load a network of a pipeline's `folder`, on the CPU.

    Args:
        name: of the pipeline, for messages.
        dtype: of its weights.

    Raises:
        ModelError: its weights are missing, damaged or do not fit its config.
    """
    label = f"{part.folder} of {name}" if part.folder else name
    weights = weights_of(fetch, part, half=dtype != torch.float32)
    if weights is None:
        raise ModelError(f"{label} has no weights: neither .safetensors nor .bin beside {CONFIG}")
    _, variant, safe = weights
    options: dict[str, Any] = {"variant": variant, "use_safetensors": safe}
    of_text = part.kind in ENCODERS
    if not of_text:  # those are converted below
        options["torch_dtype"] = dtype
    try:
        with silent():
            network, report = _class(part).from_pretrained(
                str(folder / part.folder), output_loading_info=True, **options
            )
    except Exception as error:  # diffusers, transformers, safetensors and torch: unrelated types
        raise ModelError(f"{label} is not a usable {part.kind}: {line(error)}") from error
    if missing := sorted(report["missing_keys"]):  # they would stay random
        raise ModelError(
            f"the weights of {label} do not fit its config: they lack "
            f"{counted(len(missing), 'entry', 'entries')}, first {missing[0]!r}"
        )
    return network.to(dtype) if of_text else network


def load_tokenizer(folder: Path, part: Part, name: str) -> Any:
    """Load a tokenizer of a pipeline's `folder`.

    Raises:
        ModelError: its files are missing or damaged.
    """
    try:
        with silent():
            return _class(part).from_pretrained(str(folder / part.folder))
    except Exception as error:  # transformers and tokenizers raise unrelated types
        raise ModelError(
            f"{part.folder} of {name} is not a usable {part.kind}: {line(error)}"
        ) from error


@contextmanager
def silent() -> Generator[None]:
    """Switch off logs and progress bars: what they report at length is raised."""
    from diffusers.utils import logging as diffusers_logging

    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    bars = [diffusers_logging]
    if find_spec("transformers") is not None:
        from transformers.utils import logging as transformers_logging

        bars.append(transformers_logging)
    # their older releases do not tell
    shown = [getattr(bar, "is_progress_bar_enabled", lambda: True)() for bar in bars]
    for bar in bars:
        bar.disable_progress_bar()
    try:
        yield
    finally:
        logging.disable(before)
        for bar, was in zip(bars, shown, strict=True):
            if was:
                bar.enable_progress_bar()


def _class(part: Part) -> Any:
    """Return the class of a part; only names that `read_plan` has checked come here."""
    import diffusers

    if part.kind == "LDMBertModel":
        from diffusers.pipelines.latent_diffusion import LDMBertModel

        return LDMBertModel
    if hasattr(diffusers, part.kind):
        return getattr(diffusers, part.kind)
    import transformers

    return getattr(transformers, part.kind)
