"""Long searches for faults that no test names: simulated histories, failing calls, kills, power cuts, fuzzed documents."""
