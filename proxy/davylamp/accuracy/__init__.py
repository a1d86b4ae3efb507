"""How much of mining is told, and how much else is told wrongly: measured, not claimed."""
