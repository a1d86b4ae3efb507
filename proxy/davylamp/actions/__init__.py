"""What is done about an incident, by policy: planned purely, carried out once, undone on demand."""
