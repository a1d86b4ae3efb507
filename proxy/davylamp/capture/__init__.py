"""Turn a world (kernel queue, kernel log, capture file) into packets."""
