"""What CLIPs can do (zero-shot, retrieval, guidance) and what VQGANs keep, in figures."""
