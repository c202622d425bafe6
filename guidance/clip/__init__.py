"""Prompt, image → embedding: CLIPs behind one small interface, their priors, the scorer."""

from guidance.exports import on_first_use

__getattr__ = on_first_use(
    __name__, ClipModel=".model", ClipSpec=".names", load_clip=".registry", parse_specs=".names"
)
