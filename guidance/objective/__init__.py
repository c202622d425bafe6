"""Image → loss: cutouts, what prompts ask of them, aims, regularisers."""
