"""Picture decoders and their latent spaces, as thin layers over diffusers' classes."""

from guidance.models.latents import Latents as Latents
from guidance.models.latents import wrap as wrap
