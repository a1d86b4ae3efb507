"""The processes that judge packets: one for each kernel queue, one for the sample."""
