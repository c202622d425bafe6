"""SVG ↔ scene: what a file means, resolved down to strokes and areas.

A scene is written by `writer`. A file is read by `reader`, through these modules::

    source                      file or text → element tree, within bounds
    sheets → style              style sheets → the style of every element
    values                      numbers, lengths, colours and transforms in attributes
    walk → cover → canvas       elements in painting order → clip paths, masks → fills, strokes
    shapes, path → geometry     what an element outlines, as chains of cubic Bézier curves
    paint                       colours, and gradients as their mean
    regions → skia              areas: dashes, outlines of strokes, intersections
    groups                      see-through groups
"""
