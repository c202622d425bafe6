"""VQGAN painting: the codes of a picture decoder, moved towards a prompt. Offline with "mini"."""

from guidance.vqgan.generator import Painting as Painting
from guidance.vqgan.noise import noise_image as noise_image
from guidance.vqgan.options import VqganOptions as VqganOptions
from guidance.vqgan.technique import paint as paint
