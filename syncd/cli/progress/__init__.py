"""Shows the progress of a pass: bars on a terminal, plain lines in a log, JSON for programs."""
