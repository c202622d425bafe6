"""CLIP models: open_clip behind one small interface."""

from guidance.clip.model import ClipModel as ClipModel
from guidance.clip.registry import ClipSpec as ClipSpec
from guidance.clip.registry import load_clip as load_clip
from guidance.clip.registry import parse_specs as parse_specs
