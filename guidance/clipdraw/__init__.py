"""CLIPDraw: Bézier strokes and shapes, drawn towards a prompt. Nothing to compile."""

from guidance.clipdraw.generator import Drawing as Drawing
from guidance.clipdraw.options import ClipDrawOptions as ClipDrawOptions
from guidance.clipdraw.technique import draw as draw
from guidance.vector.raster import render as render
from guidance.vector.scene import Scene as Scene
from guidance.vector.svg.reader import from_svg as from_svg
from guidance.vector.svg.writer import to_svg as to_svg
