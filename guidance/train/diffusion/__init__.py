"""Latents + CLIP embeddings → a latent diffusion model that text and image embeddings condition.

    python -m guidance.train.diffusion --data runs/latents.safetensors --minutes 90 \\
        --out runs/diffusion

Ho, Jain and Abbeel 2020, arXiv:2006.11239, in the latent space of an autoencoder (Rombach et al.
2022, arXiv:2112.10752). The network predicts v (Salimans and Ho 2022, arXiv:2202.00512, section 4);
the loss is weighted by min-SNR (Hang et al. 2023, arXiv:2303.09556), truncated from below as in
Salimans and Ho, section 4; conditions are dropped at random for classifier-free guidance (Ho and
Salimans 2022, arXiv:2207.12598).

With a configuration whose conditions are longer by one (``mini-diffusion-sized.json``), the network
is told how many pixels each picture had before it was enlarged (Podell et al. 2023,
arXiv:2307.01952, section 2.2), so that small ones teach what things look like, but no blur.

With a configuration that has channels for a smaller picture, and data prepared with ``--low``, it
trains the upsampler instead.
"""
