"""Images → stored vectors: embedded once, kept on disk by content and model, searched."""
