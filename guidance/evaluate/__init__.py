"""What a CLIP can do, in figures: zero-shot classification, retrieval, calibration, guidance."""
