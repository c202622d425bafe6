"""Generator and objective → step: the contract of generators, the one loop, checkpoints."""
