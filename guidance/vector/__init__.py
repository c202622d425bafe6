"""Strokes ↔ pixels: scenes, rasterisers, SVG in and out."""
