"""Codes + CLIP embeddings → a transformer that writes pictures, told what they show: DALL·E.

    python -m guidance.train.latents --codes --data "shards/*.tar" --out runs/codes.safetensors
    python -m guidance.train.dalle --data runs/codes.safetensors --minutes 600 --out runs/dalle
    python -m guidance.dalle "a fox at sunrise" --model runs/dalle/dalle.safetensors

Ramesh et al. 2021, "Zero-Shot Text-to-Image Generation" (arXiv:2102.12092), section 2.2: the
cross-entropy of each code, given the text and the codes before it, in raster order. The loss of
that paper weighs text and picture 1 : 7; here the text is not modelled and the picture is all (see
`guidance.models.dalle.transformer` for why). Conditions are dropped at random for classifier-free
guidance.

Some pictures are kept back. After every checkpoint the log says how many bits their codes cost with
the right text, with a wrong one, with the picture's own embedding too, and with nothing told.
"""
