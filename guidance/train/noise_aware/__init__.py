"""A diffusion model + its latents → the head that tells which condition noisy latents fit.

    python -m guidance.train.noise_aware --data runs/latents.safetensors \\
        --diffusion runs/diffusion --minutes 5 --out runs/noise-aware

CLIP's contrastive loss (Radford et al. 2021, arXiv:2103.00020, figure 3) between noisy latents and
the conditions of their pictures, over all noise levels, as for GLIDE's noised CLIP.
"""
