"""Bytes to facts: incremental readers of TLS, DNS, SSH and HTTP that judge nothing."""
