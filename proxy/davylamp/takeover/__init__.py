"""One gateway takes the place of another that is at work: what the two say to each other."""
