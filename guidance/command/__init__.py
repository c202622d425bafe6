"""Options → a run: command lines, shared options, what a technique is, resume, replay, recipes."""
