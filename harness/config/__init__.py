"""A run's configuration: schema, composition by Hydra, and its resolution into a frozen run."""
