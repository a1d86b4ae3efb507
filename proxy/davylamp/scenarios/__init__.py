"""Scenarios: what an agent may do with the network, and what must come of it, in any lab."""
