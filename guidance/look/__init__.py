"""Look: pictures of what CLIP sees: similarity matrix, heat-map, written words, video over time."""

from guidance.look.options import HeatOptions as HeatOptions
from guidance.look.options import MatrixOptions as MatrixOptions
from guidance.look.options import VideoOptions as VideoOptions
from guidance.look.options import WriteOptions as WriteOptions
from guidance.look.technique import command as command
