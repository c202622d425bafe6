"""Embeddings → answers: ranking, zero-shot classes, templates, aesthetics, late interaction."""
