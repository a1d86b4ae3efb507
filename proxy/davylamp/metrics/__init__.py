"""What the gateway counts, in Prometheus's words."""
