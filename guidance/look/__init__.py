"""Look: pictures of what CLIP sees: similarity matrix, heat-map, written words, video over time."""

from guidance.exports import on_first_use

__getattr__ = on_first_use(
    __name__,
    HeatOptions=".options",
    MatrixOptions=".options",
    VideoOptions=".options",
    WriteOptions=".options",
)
