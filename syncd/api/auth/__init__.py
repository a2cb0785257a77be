"""Who may ask: tokens, sessions, and the checks at the door."""
