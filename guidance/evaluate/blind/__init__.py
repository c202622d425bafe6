"""Naming pictures blind: a shuffled sheet with numbers and its key; answers against the key."""
