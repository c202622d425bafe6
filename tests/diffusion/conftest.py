"""Tiny models of diffusion, saved once and loaded once a test file."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_diffusion

from guidance.models.denoiser import Denoiser


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return folders that `--model` accepts: a Stable Diffusion and a network of pixels."""
    root = tmp_path_factory.mktemp("models")
    return {kind: tiny_diffusion.save(root / kind, kind) for kind in ("sd", "ddpm")}


@pytest.fixture(scope="module")
def models(folders: dict[str, Path]) -> dict[str, Denoiser]:
    """Return these, loaded."""
    from guidance.models.load_denoiser import load_denoiser

    return {kind: load_denoiser(str(path), device="cpu") for kind, path in folders.items()}
