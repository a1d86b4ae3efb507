"""The sans-I/O inspection core: stream bytes in, findings out."""
