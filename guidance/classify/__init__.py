"""Classify: which label fits a picture, with probabilities; or how often that is right."""

from guidance.classify.options import ClassifyOptions as ClassifyOptions
from guidance.classify.technique import classify as classify
