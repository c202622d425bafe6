"""Probe: what a CLIP's features hold, by classifiers and prompts learned from a few pictures."""

from guidance.exports import on_first_use

__getattr__ = on_first_use(__name__, ProbeOptions=".options", probe=".technique")
