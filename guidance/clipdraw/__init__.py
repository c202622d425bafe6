"""CLIPDraw: Bézier strokes and shapes, drawn towards a prompt. Nothing to compile."""

from guidance.exports import on_first_use

__getattr__ = on_first_use(
    __name__,
    Drawing=".generator",
    ClipDrawOptions=".options",
    draw=".technique",
    render="guidance.vector.raster",
    Scene="guidance.vector.scene",
    from_svg="guidance.vector.svg.reader",
    to_svg="guidance.vector.svg.writer",
)
