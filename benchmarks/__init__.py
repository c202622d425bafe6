"""Speed, memory and quality of the package, each measured beside a named peer or judge."""
