class DemoFailed(Exception):
    """A step of the demo did not work; the message says which, and what to look at."""
