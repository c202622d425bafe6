"""CLIPDraw: Bézier strokes and shapes, drawn towards a prompt. Nothing to compile."""

from guidance.clipdraw.generator import Drawing as Drawing
from guidance.clipdraw.options import ClipDrawOptions as ClipDrawOptions
from guidance.clipdraw.raster import render as render
from guidance.clipdraw.scene import Scene as Scene
from guidance.clipdraw.svg import from_svg as from_svg
from guidance.clipdraw.svg import to_svg as to_svg
from guidance.clipdraw.technique import draw as draw
