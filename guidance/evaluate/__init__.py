"""Our own measuring: what CLIPs tell, VQGANs keep and diffusion models make of prompts."""
