"""Files as taming-transformers publishes them: narrow random checkpoints, and the .yaml."""

from pathlib import Path

import torch
import yaml
from reference.taming_decoder import entries, random_state

F16 = {"ch_mult": (1, 1, 2, 2, 4), "attended": (4,)}
F8 = {"ch_mult": (1, 1, 2, 4), "attended": (3,), "gumbel": True}
NARROW = {"ch": 32, "n_embed": 24, "z_channels": 12, "embed_dim": 12}
YAML = """
model:
  base_learning_rate: 4.5e-06
  target: taming.models.vqgan.VQModel
  params:
    embed_dim: 256
    n_embed: 1024
    monitor: val/rec_loss
    ddconfig:
      double_z: false
      z_channels: 256
      resolution: 256
      in_channels: 3
      out_ch: 3
      ch: 128
      ch_mult: [1, 1, 2, 2, 4]
      num_res_blocks: 2
      attn_resolutions: [16]
      dropout: 0.0
    lossconfig:
      target: taming.modules.losses.vqperceptual.VQLPIPSWithDiscriminator
      params: {disc_conditional: false}
"""


def narrow(**options) -> dict[str, torch.Tensor]:
    return random_state(entries(**(NARROW | options)))


def saved(path: Path, state: dict, **extra) -> Path:
    """Write a checkpoint as pytorch-lightning does, with a part of the loss."""
    loss = {"loss.discriminator.main.0.weight": torch.zeros(2), "loss.logvar": torch.zeros(1)}
    torch.save({"epoch": 3, "state_dict": state | loss, **extra}, path)
    return path


def config_file(path: Path, **changes) -> Path:
    """Write the published .yaml with other values in ``params`` or ``ddconfig``."""
    content = yaml.safe_load(YAML)
    params = content["model"]["params"]
    for key, value in changes.items():
        (params if key in params else params["ddconfig"])[key] = value
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path
