"""The networks behind generators, diffusion models and latent spaces, with no guidance in them.

`names` and the modules that end in ``config`` say what a name stands for, without torch;
`load_denoiser` and `load_latents` load it: a `Denoiser` or `Latents`, thin layers over diffusers.
"""
