"""Shows a pass at work: bars on a terminal, plain lines in a log, JSON for programs."""
