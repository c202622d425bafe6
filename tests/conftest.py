"""Shared fixtures: tiny real CLIP models with random weights; no downloads, no mocks."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before any import reads it

import pytest
import torch
from safetensors.torch import save_file
from tiny_clip import build_tiny, unit

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a shell
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the runs of tests are interrupted
torch.set_num_threads(1)  # two pytest workers share two cores, and results stay exact


def pytest_configure(config: pytest.Config) -> None:
    """Measure coverage, and hold it to its floor, in runs of the whole suite alone."""
    chosen = ("keyword", "markexpr", "deselect", "lf", "ignore", "ignore_glob", "collectonly")
    part = config.args_source is not pytest.Config.ArgsSource.TESTPATHS or any(
        getattr(config.option, name, None) for name in chosen
    )
    measuring = config.pluginmanager.getplugin("_cov")
    if measuring is None:
        return
    if hasattr(config, "workerinput"):  # the main process has decided
        part = "cov_master_host" not in config.workerinput
    if part:
        config.option.no_cov = measuring.options.no_cov = True
        if measuring.cov_controller is not None:  # it began before this file was read
            measuring.cov_controller.cov.stop()


@pytest.fixture(scope="session", autouse=True)
def _text_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep embedded texts out of the home folder."""
    os.environ["GUIDANCE_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def tiny_clip_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that `--clip` accepts."""
    return build_tiny(tmp_path_factory.mktemp("clip") / "tiny")


@pytest.fixture(scope="session")
def tiny_clip(tiny_clip_path: Path):
    """Return the tiny model, loaded in float32 on the CPU."""
    from guidance.clip import load_clip

    return load_clip(str(tiny_clip_path))


@pytest.fixture(scope="session")
def mini():
    """Return the CLIP of the package, for tests that look at what a model sees."""
    from guidance.clip.scorer import ClipScorer

    return ClipScorer("mini", device="cpu")


@pytest.fixture(scope="session")
def with_prior(tmp_path_factory: pytest.TempPathFactory):
    """Return a tiny model whose folder holds a prior of twenty memories."""
    from guidance.clip import load_clip
    from guidance.clip.prior import remember

    folder = build_tiny(tmp_path_factory.mktemp("clip") / "prior")
    state = remember(unit(20, 32), unit(20, 32, seed=1), rank=32)
    save_file(state, folder / "open_clip_model-prior.safetensors")
    return load_clip(str(folder))


@pytest.fixture
def generator() -> torch.Generator:
    """Return a seeded random generator."""
    return torch.Generator().manual_seed(0)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """Return a picture of 32 pixels."""
    from guidance.images import to_pil

    pixels = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    to_pil(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    """Return a mask of the same size, white on the right."""
    from guidance.images import to_pil

    half = torch.zeros(1, 3, 32, 32)
    half[..., 16:] = 1
    to_pil(half).save(tmp_path / "mask.png")
    return tmp_path / "mask.png"


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> Callable[..., None]:
    """Return what checks that a command refuses its arguments in one line and leaves no file."""

    def check(run: Callable[..., int], arguments: list[object], *expected: str) -> None:
        work = tmp_path / "work"
        work.mkdir()
        monkeypatch.chdir(work)
        assert run(*arguments) == 2
        err = capsys.readouterr().err
        assert all(part in err for part in expected), err
        assert err.count("\n") == 1, err
        left = {path.name for path in work.rglob("*")} - {"outputs"}
        assert not left, "nothing may be left behind"

    return check
