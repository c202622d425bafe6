"""Endings of files with weights."""

SUFFIXES = (".ckpt", ".pt", ".pth", ".safetensors")
