"""Probe: what a CLIP's features hold, by classifiers and prompts learned from a few pictures."""

from guidance.probe.options import ProbeOptions as ProbeOptions
from guidance.probe.technique import probe as probe
