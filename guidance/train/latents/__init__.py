"""Captioned pictures → what a latent diffusion model learns from: latents and CLIP embeddings.

    python -m guidance.train.latents --data "shards/photos-*.tar" --data "shards/drawings-*.tar" \\
        --out runs/latents.safetensors

Every picture is encoded once, as it is and mirrored, so that the training itself sees no pixels.
"""
