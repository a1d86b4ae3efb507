"""What the kernels of all gateways over one store refuse: endpoints, and whole sandboxes."""
