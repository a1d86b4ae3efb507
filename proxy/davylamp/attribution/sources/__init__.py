"""Who tells lineage what runs, without the trainer's doing: one source a file."""
