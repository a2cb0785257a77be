"""A deterministic simulation of syncd: the real engine over ports in memory, with a seeded clock and scheduler."""
