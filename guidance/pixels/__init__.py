"""Pixels: free colours, a Fourier spectrum or pixel art, moved towards a prompt. Read it first."""

from guidance.pixels.canvas import Art as Art
from guidance.pixels.canvas import Fourier as Fourier
from guidance.pixels.canvas import Rgb as Rgb
from guidance.pixels.generator import Pixels as Pixels
from guidance.pixels.options import PixelsOptions as PixelsOptions
from guidance.pixels.technique import evolve as evolve
