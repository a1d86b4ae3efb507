"""What runs the sandboxes, and how it is spoken to: one client a file."""
