"""The gateway against plain forwarding: both measured in one lab, in turns, with real tools."""
