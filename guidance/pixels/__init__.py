"""Pixels: free colours, a Fourier spectrum or pixel art, moved towards a prompt. Read it first."""

from guidance.exports import on_first_use

__getattr__ = on_first_use(
    __name__,
    Art=".canvas",
    Fourier=".canvas",
    Rgb=".canvas",
    Pixels=".generator",
    PixelsOptions=".options",
    evolve=".technique",
)
