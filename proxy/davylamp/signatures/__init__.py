"""Signature packs: bytes on disk to typed, compiled signatures."""
