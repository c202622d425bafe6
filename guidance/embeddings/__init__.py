"""Embeddings of images: computed once, kept on disk by content and model, ranked and compared."""
