"""Subject models, the hooks that read and change them, and the kinds of feature source."""
