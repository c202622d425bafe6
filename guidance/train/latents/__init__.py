"""Captioned pictures → what a latent diffusion model learns from: latents and CLIP embeddings.

    python -m guidance.train.latents --data "shards/photos-*.tar" --data "shards/drawings-*.tar" \\
        --out runs/latents.safetensors

Every picture is encoded once, as it is and mirrored, so that the training itself sees no pixels.
How many pixels it had is kept. The work is done in pieces beside the file: the same command goes on
where it was stopped.
"""
