"""Sandboxes whose addresses never leave their host: what agents there publish, and gateways ask."""
