"""The parts of `demo.py`, which tells the story."""
