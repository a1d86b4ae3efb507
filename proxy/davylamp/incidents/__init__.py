"""Incidents: what a person is woken for, kept so that it can be acted on and shown later."""
