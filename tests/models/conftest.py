"""Tiny pipelines of diffusers, built and saved once."""

import shutil

import pytest
import tiny_diffusion


@pytest.fixture(scope="session")
def pipelines(tmp_path_factory):
    """Return a function that builds a pipeline of a kind, once."""
    made = {}

    def pipeline(kind):
        if kind not in made:
            made[kind] = tiny_diffusion.pipeline(kind, tmp_path_factory.mktemp(kind))
        return made[kind]

    return pipeline


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """Return a pipeline of each kind, and its folder."""
    made = {}
    for kind in tiny_diffusion.KINDS:
        folder = tmp_path_factory.mktemp("diffusion") / kind
        pipe = tiny_diffusion.pipeline(kind, folder.with_name(f"{kind} tokenizer"))
        pipe.save_pretrained(folder)
        made[kind] = pipe, folder
    return made


@pytest.fixture
def sd(folders, tmp_path):
    """Return a copy of the folder of the small Stable Diffusion, to be changed."""
    return shutil.copytree(folders["sd"][1], tmp_path / "sd")
