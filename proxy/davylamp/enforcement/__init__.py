"""Carry a verdict out: kernel sets, TCP resets."""
