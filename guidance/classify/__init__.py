"""Classify: which label fits a picture, with probabilities; or how often that is right."""

from guidance.exports import on_first_use

__getattr__ = on_first_use(__name__, ClassifyOptions=".options", classify=".technique")
