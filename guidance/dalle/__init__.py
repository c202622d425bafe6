"""DALL·E: a picture written as a sentence of codes, and the best of many by CLIP.

`generator` writes them, a few rows a step; `chances` says how likely a code is to be drawn and
draws, `told` mixes what a model says of several prompts, `known` is what a picture begins with.
"""

from guidance.exports import on_first_use

__getattr__ = on_first_use(
    __name__,
    Chances=".chances",
    DalleOptions=".options",
    Sampling=".generator",
    sample=".technique",
)
