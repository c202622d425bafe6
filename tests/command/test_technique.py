"""The record of a technique: what a run is known by."""

import importlib

import pytest

# of runs of the first version: their checkpoints are resumed by it
FIRST = {
    "clipdraw": "849cef875951d25c",
    "diffusion": "4c87dd1f465a216a",
    "pixels": "4263bfc2e478a3ff",
    "vqgan": "271e64d95774f25c",
}


@pytest.mark.parametrize("name", FIRST)
def test_checkpoints_of_the_first_version_still_belong_to_their_options(name):
    technique = getattr(importlib.import_module(f"guidance.{name}.technique"), name.upper())
    options = {"prompt": "a fox at sunrise", "negative": ("text:0.3",), "seed": 7, "steps": 40}
    known = technique.fingerprint(technique.options(**options))
    assert known.startswith(FIRST[name])
    assert technique.fingerprint(technique.options(**options, quiet=True, save_every=9)) == known
    assert technique.fingerprint(technique.options(**options, subject=0.5)) != known
