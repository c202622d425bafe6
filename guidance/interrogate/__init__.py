"""Interrogate: the words that fit a picture best, from lists of phrases."""

from guidance.exports import on_first_use

__getattr__ = on_first_use(__name__, InterrogateOptions=".options", interrogate=".technique")
