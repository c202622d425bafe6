"""Words → `Prompt`: the grammar, its numbers and schedules, stories, the subject of a prompt."""
