"""One event, said in the words of other schemas: pure functions, an event in, a document out."""
