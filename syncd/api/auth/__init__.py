"""Authentication of requests: tokens, sessions, and checks of host and origin."""
