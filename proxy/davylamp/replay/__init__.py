"""The inspection that runs inline, run over capture files instead."""
