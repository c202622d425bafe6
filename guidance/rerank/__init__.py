"""Rerank: order finished images by how well they fit a prompt, and keep the best."""

from guidance.exports import on_first_use

__getattr__ = on_first_use(__name__, RerankOptions=".options", rerank=".technique")
