"""How good is this natural-language explanation of this feature, by which measure, and how sure are we?

Importing this package imports nothing heavy; the public interface for plugin authors is ``harness.api``.
"""

from harness._version import __version__

__all__ = ["__version__"]
