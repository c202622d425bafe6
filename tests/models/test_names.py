"""What may name a model, refused alike for latent spaces and diffusion models."""

from __future__ import annotations

import pytest

from guidance.errors import FileError, InputError
from guidance.models.denoiser_config import check_denoiser
from guidance.models.latents_config import check_latents
from guidance.models.load_denoiser import load_denoiser
from guidance.models.load_latents import load_latents

KINDS = {
    "VQGAN": (check_latents, load_latents),
    "diffusion model": (check_denoiser, load_denoiser),
}


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    return request.param


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("", InputError, r"the name of the {kind} must not be empty; the default is mini"),
        ("minni", InputError, r"unknown {kind} 'minni'; did you mean mini\?"),
        ("a b/c", InputError, r"unknown {kind} 'a b/c'"),
        ("lost.pt", FileError, r"the checkpoint lost\.pt does not exist"),
        ("nowhere/a.safetensors", FileError, r"the checkpoint nowhere/a\.safetensors does not"),
        ("./nowhere", FileError, r"the {kind}'s folder '\./nowhere' does not exist"),
        ("models/", FileError, r"the {kind}'s folder 'models/' does not exist"),
        (
            __file__,
            InputError,
            r"a {kind}'s file must be one of \.ckpt, \.pt, \.pth, ",
        ),
    ],
)
def test_names_that_are_refused(kind, name, error, message):
    check, load = KINDS[kind]
    for attempt in (check, lambda name: load(name, device="cpu")):
        with pytest.raises(error, match=message.format(kind=kind)) as caught:
            attempt(name)
        assert "\n" not in str(caught.value)


def test_the_nearest_known_name_and_file_are_suggested(kind, tmp_path):
    check, _ = KINDS[kind]
    near = {"VQGAN": "imagenet_f16_1024", "diffusion model": "512x512_diffusion"}[kind]
    with pytest.raises(InputError, match=rf"unknown {kind} '{near}'; did you mean .*{near}.*\?"):
        check(near)
    (tmp_path / "last.ckpt").write_bytes(b"")
    with pytest.raises(FileError, match=r"lost\.ckpt does not exist; did you mean last\.ckpt\?"):
        check(str(tmp_path / "lost.ckpt"))


def test_repositories_are_accepted_without_a_look(kind):
    check, _ = KINDS[kind]
    for name in ("mini", "any-one/some.thing"):
        assert check(name) is None
    inside = "any-one/some.thing/vae"  # a VQGAN may be a part of a pipeline
    if kind == "VQGAN":
        assert check(inside) is None
    else:
        with pytest.raises(InputError, match="unknown diffusion model"):
            check(inside)
