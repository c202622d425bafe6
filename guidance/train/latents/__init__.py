"""Captioned pictures → latents or codes with CLIP embeddings, for models that learn from these.

    python -m guidance.train.latents --data "shards/photos-*.tar" --data "shards/drawings-*.tar" \\
        --out runs/latents.safetensors

Every picture is encoded once, as it is and mirrored, so that the training itself sees no pixels.
How many pixels it had is kept. With ``--codes`` the VQGAN's codes are kept in place of latents, for
`guidance.train.dalle`. The work is done in pieces beside the file: the same command goes on
where it was stopped.
"""
