"""VQGAN painting: the codes of a picture decoder, moved towards a prompt. Offline with "mini"."""

from guidance.exports import on_first_use

__getattr__ = on_first_use(
    __name__,
    Painting=".generator",
    noise_image=".noise",
    VqganOptions=".options",
    paint=".technique",
)
