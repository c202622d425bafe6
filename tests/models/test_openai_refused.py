"""Checkpoints that are no diffusion model of OpenAI's, or not a whole one: what is said of them."""

from dataclasses import replace

import pytest
import torch
from adm_files import SMALL, TINY, saved
from checkpoint_files import assert_told
from reference.slow_adm import entries, random_state

from guidance.errors import FileError, ModelError
from guidance.models.openai_architecture import Conventions
from guidance.models.openai_unet import load_openai


def test_missing_unexpected_and_misshapen_entries_are_named(tmp_path):
    state = random_state(entries(SMALL["512"]))
    del state["input_blocks.19.1.qkv.bias"], state["output_blocks.0.0.out_layers.3.weight"]
    state["output_blocks.1.0.extra.weight"] = torch.zeros(1)
    state["out.0.bias"] = torch.zeros(())
    state["middle_block.1.qkv.weight"] = torch.zeros(128, 128, 1)
    state["label_emb.weight"] = torch.zeros(5, 512)
    with pytest.raises(ModelError) as caught:
        load_openai(saved(tmp_path / "a.pt", state))
    parts = (
        "a.pt does not fit its architecture: it lacks 2 entries (",
        "input_blocks.19.1.qkv.bias",
        "output_blocks.0.0.out_layers.3.weight",
        "it has 1 unexpected entry (output_blocks.1.0.extra.weight)",
        "it has 3 misshapen entries (",
        "out.0.bias: a single number, not 32",
        "middle_block.1.qkv.weight: 128x128x1, not 384x128x1",
        "label_emb.weight: 5x512, not 5x256",
    )
    assert_told(str(caught.value), parts)


def test_what_is_no_diffusion_model_of_openai_is_named(tmp_path):
    tiny = random_state(entries(TINY))

    def refused(state: dict, message: str) -> None:
        with pytest.raises(ModelError, match=message):
            load_openai(saved(tmp_path / "a.pt", state))

    def changed(**new) -> dict:
        return tiny | {k.replace("__", "."): torch.zeros(v) for k, v in new.items()}

    refused({"a": torch.zeros(1)}, r"holds no UNet of guided-diffusion.* 1 others \(a, \.\.\.\)")
    latent = {f"model.diffusion_model.{k}": v for k, v in tiny.items()}
    refused(latent, "latent diffusion model in one file.* diffusers folder")
    refused({"down_blocks.0.x": torch.zeros(1)}, "names of a diffusers model.* give the folder")
    classifier = {k: v for k, v in tiny.items() if not k.startswith(("output_blocks.", "out."))}
    refused(classifier, "is a classifier: .*; supported are unconditional and class-conditional")
    refused(tiny | {"input_blocks.0.0.weight": torch.zeros(32, 6, 3, 3)}, "takes 6 channels .* ups")
    refused(tiny | {"input_blocks.0.0.weight": torch.zeros(32, 3, 3)}, "has 3 axes instead of 4")
    refused(tiny | {"out.2.weight": torch.zeros(4, 32, 3, 3)}, "predicts 4 channels instead of 3")
    refused(tiny | {"transformer.x": torch.zeros(1)}, "conditioned on text")
    cross = tiny | {"input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight": torch.zeros(1)}
    refused(cross, "conditioned by cross-attention")
    with pytest.raises(FileError, match=r"missing\.pt does not exist"):
        load_openai(tmp_path / "missing.pt")


def test_an_architecture_that_diffusers_cannot_express_is_named(tmp_path):
    tiny = random_state(entries(TINY))

    def refused(state: dict, message: str) -> None:
        with pytest.raises(ModelError, match=message):
            load_openai(saved(tmp_path / "a.pt", state))

    # resampling without weights: those entries are not there, and the blocks are counted on
    still = random_state(entries(replace(TINY, updown=False)))
    still = {k: v for k, v in still.items() if ".op." not in k and ".conv." not in k}
    refused(still, r"input_blocks\.2 has no weights: .* UNet2DModel cannot do")
    lost = {k: v for k, v in tiny.items() if not k.startswith("output_blocks.6.")}
    refused(lost, r"output_blocks\.6 has no weights")
    other = {k.replace("output_blocks.", "output_blocks.x"): v for k, v in tiny.items()}
    refused(other, "it has no output_blocks$")
    huge = tiny | {"output_blocks.999999.0.in_layers.2.weight": torch.zeros(1)}
    refused(huge, r"output_blocks\.12 has no weights")
    lost = {k: v for k, v in tiny.items() if not k.startswith("output_blocks.11.")}
    refused(lost, r"levels are not built alike: of 11 output_blocks .* 1, 3, 5, 7, 9, beside 12")
    lost = {k: v for k, v in tiny.items() if not k.startswith("input_blocks.11.")}
    refused(lost, "levels are not built alike")
    lost = {k: v for k, v in tiny.items() if not k.startswith("middle_block.")}
    refused(lost, r"it lacks middle_block\.0\.out_layers\.3\.weight")
    refused(random_state(entries(replace(TINY, channels=48))), "multiples of 32 but one has 48")
    narrow = random_state(entries(replace(TINY, attended=(3, 5))))
    refused(narrow, "must have heads of 64 channels but has 32 channels")
    with pytest.raises(ModelError, match="must have 3 heads but has 128 channels"):
        load_openai(saved(tmp_path / "a.pt", tiny), Conventions(num_heads=3))
