"""Rerank: order finished images by how well they fit a prompt, and keep the best."""

from guidance.rerank.options import RerankOptions as RerankOptions
from guidance.rerank.technique import rerank as rerank
