"""Diffusion: pictures out of noise, guided by CLIP, without a classifier, or both; offline mini."""

from guidance.diffusion.generator import Denoising as Denoising
from guidance.diffusion.options import DiffusionOptions as DiffusionOptions
from guidance.diffusion.sampler import Sampler as Sampler
from guidance.diffusion.technique import diffuse as diffuse
