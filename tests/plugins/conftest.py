"""What the tests of the plugins share."""

from tests.receivers import _running, receivers

__all__ = ["_running", "receivers"]
