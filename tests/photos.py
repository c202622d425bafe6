"""Real photos that come with scikit-image, for tests that look at what a model sees."""

from __future__ import annotations

from pathlib import Path

import skimage

FOLDER = Path(skimage.__file__).parent / "data"
ASTRONAUT = FOLDER / "astronaut.png"
CAT = FOLDER / "chelsea.png"
COFFEE = FOLDER / "coffee.png"
ROCKET = FOLDER / "rocket.jpg"
CAMERA = FOLDER / "camera.png"
