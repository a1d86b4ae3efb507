"""A gateway in a terminal: what it judges, and how it is, as its API tells."""
