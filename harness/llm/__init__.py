"""Language models: one interface over every provider, with cache, retries and accounting."""
