"""Diffusion: pictures out of noise, guided by CLIP, without a classifier, or both; offline mini."""

from guidance.exports import on_first_use

__getattr__ = on_first_use(
    __name__,
    Denoising=".generator",
    DiffusionOptions=".options",
    Sampler=".sampling",
    diffuse=".technique",
)
