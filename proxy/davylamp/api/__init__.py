"""The admin API and the dashboard: what the gateway knows, over HTTP."""
