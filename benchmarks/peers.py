"""The usual ways of the field, written out plainly, for our benchmarks to be compared with.

`UsualStep` is the guided step of VQGAN-CLIP and its descendants with their default augmentations:
one cut after the other in a Python loop, each augmentation a resampling of its own, open_clip's
network as it comes.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def random_crops(image: Tensor, size: int, cuts: int, power: float = 1.0) -> Iterator[Tensor]:
    """Yield `cuts` square crops of images ``[B, 3, H, W]``, of `size` pixels or more."""
    height, width = image.shape[-2:]
    longest, shortest = min(height, width), min(height, width, size)
    for _ in range(cuts):
        side = int(torch.rand(()) ** power * (longest - shortest) + shortest)
        left = int(torch.randint(0, width - side + 1, ()))
        top = int(torch.randint(0, height - side + 1, ()))
        yield image[:, :, top : top + side, left : left + side]


class UsualCutouts(nn.Module):
    """Image ``[1, 3, H, W]`` → ``[N, 3, S, S]``: crop, pool, then augment with kornia."""

    def __init__(self, size: int, cuts: int, power: float = 1.0, noise: float = 0.1):
        super().__init__()
        import kornia.augmentation as K

        self.size, self.cuts, self.power, self.noise = size, cuts, power, noise
        self.augment = nn.Sequential(
            K.RandomAffine(degrees=15, translate=(0.1, 0.1), shear=5, p=0.7, keepdim=True),
            K.RandomPerspective(distortion_scale=0.7, p=0.7),
            K.ColorJitter(brightness=0.1, contrast=0.1, saturation=0.1, hue=0.1, p=0.7),
            K.RandomErasing(scale=(0.1, 0.4), ratio=(0.3, 1 / 0.3), same_on_batch=True, p=0.7),
        )

    def forward(self, image: Tensor) -> Tensor:
        """Cut and augment."""
        cutouts = []
        for crop in random_crops(image, self.size, self.cuts, self.power):
            pooled = F.adaptive_avg_pool2d(crop, self.size) + F.adaptive_max_pool2d(crop, self.size)
            cutouts.append(pooled / 2)
        batch = self.augment(torch.cat(cutouts))
        strength = torch.empty(self.cuts, 1, 1, 1).uniform_(0, self.noise)
        return batch + strength * torch.randn_like(batch)


class UsualStep:
    """One step: cut, embed, compare, go back, update.

    Args:
        network: an open_clip model as it comes, float32.
        target: embedding of the prompt, ``[D]``, unit length.
        frozen: whether its parameters need no gradient (VQGAN-CLIP) or are left as open_clip
            hands them out (CLIPDraw).
    """

    def __init__(
        self,
        network: nn.Module,
        target: Tensor,
        size: int,
        cuts: int,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        frozen: bool = True,
    ):
        self.network = network.eval().requires_grad_(not frozen)
        self.target = target
        self.cutouts = UsualCutouts(size, cuts)
        self.mean = torch.tensor(mean).view(3, 1, 1)
        self.std = torch.tensor(std).view(3, 1, 1)

    def __call__(self, pixels: Tensor, optimizer: torch.optim.Optimizer) -> float:
        """Update `pixels` ``[1, 3, H, W]`` once; return the loss."""
        optimizer.zero_grad(set_to_none=True)
        batch = (self.cutouts(pixels) - self.mean) / self.std
        features = F.normalize(self.network.encode_image(batch).float(), dim=-1)
        distances = (features - self.target).norm(dim=-1).div(2).arcsin().pow(2).mul(2)
        loss = distances.mean()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            pixels.clamp_(0, 1)
        return loss.item()


class UsualPainting:
    """One step of the VQGAN-CLIP tool that most people used, on the networks that are given.

    Quantise against the whole codebook with a one-hot product, decode, pool the whole picture once
    for each cut, augment, embed, compare; weights frozen, everything in float32, all cuts in one
    graph.

    Args:
        vqgan: a diffusers `VQModel`.
        z: ``[1, C, h, w]``, the latents to start from.
        step: gives the CLIP network, its target, mean and std.
    """

    def __init__(self, vqgan: nn.Module, z: Tensor, step: UsualStep, lr: float = 0.1):
        self.vqgan = vqgan.eval().requires_grad_(False)
        self.codebook = vqgan.quantize.embedding.weight
        self.low, self.high = (f(self.codebook, 0).values for f in (torch.min, torch.max))
        self.z = z.clone().requires_grad_()
        self.step = step
        self.optimizer = torch.optim.Adam([self.z], lr=lr)

    def __call__(self) -> float:
        """Make one update; return the loss."""
        self.optimizer.zero_grad(set_to_none=True)
        picture = self._decode(self._quantise(self.z))
        pools = self.step.cutouts
        cuts = []
        for _ in range(pools.cuts):
            pooled = F.adaptive_avg_pool2d(picture, pools.size)
            cuts.append((pooled + F.adaptive_max_pool2d(picture, pools.size)) / 2)
        batch = pools.augment(torch.cat(cuts))
        strength = torch.empty(pools.cuts, 1, 1, 1).uniform_(0, pools.noise)
        batch = batch + strength * torch.randn_like(batch)
        features = self.step.network.encode_image((batch - self.step.mean) / self.step.std)
        features = F.normalize(features.float(), dim=-1)
        distances = (features - self.step.target).norm(dim=-1).div(2).arcsin().pow(2).mul(2)
        loss = distances.mean()
        loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            bounds = self.low[None, :, None, None], self.high[None, :, None, None]
            self.z.copy_(self.z.maximum(bounds[0]).minimum(bounds[1]))
        return loss.item()

    def _quantise(self, z: Tensor) -> Tensor:
        x, codes = z.movedim(1, 3), self.codebook
        distances = x.pow(2).sum(-1, keepdim=True) + codes.pow(2).sum(1) - 2 * x @ codes.T
        chosen = F.one_hot(distances.argmin(-1), len(codes)).to(x.dtype) @ codes
        return (x + (chosen - x).detach()).movedim(3, 1)

    def _decode(self, z: Tensor) -> Tensor:
        picture = self.vqgan.decode(z, force_not_quantize=True).sample
        return picture.add(1).div(2).clamp(0, 1)


class UsualDiffusion:
    """One step of diffusers' community pipeline for CLIP-guided Stable Diffusion.

    The network answers for both texts without gradient, and once more for the empty text with it.
    That answer gives the clean latents, which are mixed with the noisy ones the more the less noise
    there is, decoded, cropped one after the other and embedded. Weights are frozen, though the
    pipeline leaves that to its users; the scheduler is DDIM's.

    Args:
        unet: a diffusers `UNet2DConditionModel`.
        vae: a diffusers `AutoencoderKL`.
        texts: ``[2, L, D]``, what the network is told of the empty text and of the prompt.
        latents: ``[1, C, h, w]``, the noise to start from.
        scheduler: set to as many steps as there may be.
        step: gives the CLIP network, its target, mean and std, and the number of cuts.
        scale: weight of the gradient; 0 for none.
        cfg: scale of classifier-free guidance.
    """

    def __init__(
        self,
        unet: nn.Module,
        vae: nn.Module,
        texts: Tensor,
        latents: Tensor,
        scheduler: object,
        step: UsualStep,
        scale: float = 100.0,
        cfg: float = 7.5,
    ):
        self.unet = unet.eval().requires_grad_(False)
        self.vae = vae.eval().requires_grad_(False)
        self.texts, self.latents, self.scheduler, self.step = texts, latents, scheduler, step
        self.scale, self.cfg = scale, cfg
        self.index = 0

    @torch.no_grad()
    def __call__(self) -> None:
        """Take one step of the scheduler."""
        t = self.scheduler.timesteps[self.index]
        both = self.unet(torch.cat([self.latents] * 2), t, encoder_hidden_states=self.texts).sample
        empty, told = both.chunk(2)
        noise = empty + self.cfg * (told - empty)
        if self.scale:
            remaining = 1 - self.scheduler.alphas_cumprod[t]
            noise = noise + remaining.sqrt() * self.scale * self._gradient(t)
        self.latents = self.scheduler.step(noise, t, self.latents).prev_sample
        self.index += 1

    @torch.enable_grad()
    def _gradient(self, t: Tensor) -> Tensor:
        latents = self.latents.detach().requires_grad_()
        noise = self.unet(latents, t, encoder_hidden_states=self.texts[:1]).sample
        kept = self.scheduler.alphas_cumprod[t]
        sigma = (1 - kept).sqrt()
        clean = (latents - sigma * noise) / kept.sqrt()
        mixed = sigma * clean + (1 - sigma) * latents
        picture = self.vae.decode(mixed / self.vae.config.scaling_factor).sample
        picture = picture.add(1).div(2).clamp(0, 1)
        step, size = self.step, self.step.cutouts.size
        crops = [
            F.adaptive_avg_pool2d(crop, size)
            for crop in random_crops(picture, size, step.cutouts.cuts)
        ]
        features = step.network.encode_image((torch.cat(crops) - step.mean) / step.std)
        features = F.normalize(features.float(), dim=-1)
        distances = (features - step.target).norm(dim=-1).div(2).arcsin().pow(2).mul(2)
        (gradient,) = torch.autograd.grad(distances.mean(), latents)
        return gradient
