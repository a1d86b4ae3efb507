"""Real peers over real sockets, for the demo, the wire tests and the benchmark.

Each module with a ``main`` runs as ``python -m davylamp.lab.programs.<name>``: ``pool``, ``miner``,
``rawtcp``, ``web``, ``client``, ``certs``. They speak JSON lines on stdout and know nothing of the
gateway; what they say is what the wire let through.
"""
