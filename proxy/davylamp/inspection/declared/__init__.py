"""Protocols whose messages declare how long the values are that they carry (``exchange``)."""
