"""What is registered, from where, and what is broken: hooks, specs, plugin manager, catalogue."""
