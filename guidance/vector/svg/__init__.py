"""SVG ↔ scene: what a file means, resolved down to strokes and areas."""
