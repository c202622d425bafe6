"""Step → files: the run folder with all that is in it, contact sheets, plots."""
