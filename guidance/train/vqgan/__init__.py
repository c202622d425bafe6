"""Pictures → a VQGAN: an autoencoder with a codebook, made to look sharp by critics.

    python -m guidance.train.vqgan --data "shards/photos-*.tar" --data "shards/drawings-*.tar" \\
        --classifier efficientnet-lite0-57934424.pth --minutes 60 --out runs/vqgan

Esser, Rombach and Ommer 2021, "Taming Transformers for High-Resolution Image Synthesis",
arXiv:2012.09841, section 3.1: reconstruction and perceptual loss, a codebook, and from a part of
the run on a patch discriminator. Different here: the codebook learns by moving averages
(`guidance.train.vqgan.codebook`), the judge's weight rises slowly, and a CLIP may be a critic too
(`guidance.train.vqgan.clip_critic`).

``--kind dvae`` trains the autoencoder of DALL·E instead, see `guidance.train.vqgan.dvae`.
"""
