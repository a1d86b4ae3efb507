"""The agent of a host whose sandboxes leave under the host's own address."""
