"""Packages that only some models need: whether they are installed."""

from __future__ import annotations

from importlib.util import find_spec

from guidance.errors import ModelError
from guidance.models.pipeline_config import Plan

PIPELINES_HINT = "pip install 'clip-guidance[pipelines]'"


def check_libraries(plan: Plan) -> None:
    """Raise `ModelError` unless transformers, which reads texts, is there if `plan` needs it."""
    if plan.texts and find_spec("transformers") is None:
        raise ModelError(f"{plan.name} reads texts with the package transformers: {PIPELINES_HINT}")


def check_offload() -> None:
    """Raise `ModelError` unless accelerate, which copies weights to the GPU, is installed."""
    if find_spec("accelerate") is None:
        raise ModelError(f"offloading needs the package accelerate: {PIPELINES_HINT}")
