"""The demonstration: a training rollout whose tool call starts a miner, and what becomes of it."""
