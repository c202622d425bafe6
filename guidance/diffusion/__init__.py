"""Diffusion: pictures out of noise, guided by CLIP, without a classifier, or both; offline mini.

A sampler is a record in `samplers`, and `sampling` takes its steps on the levels of
`noise_levels`. `classifier_free` and `guided` are the two kinds of guidance, `guide` says when,
`conditioning` what the network is told, `edit` what a run starts from.
"""

from guidance.exports import on_first_use

__getattr__ = on_first_use(
    __name__,
    Denoising=".generator",
    DiffusionOptions=".options",
    Sampler=".sampling",
    diffuse=".technique",
)
