"""A laboratory of network namespaces: sandboxes, a gateway, and an outside world."""
