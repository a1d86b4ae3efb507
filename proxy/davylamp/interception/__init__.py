"""TLS opened and looked into: mitmproxy processes, their supervision, and their authority."""
