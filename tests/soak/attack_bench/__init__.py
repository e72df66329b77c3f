"""The modules of the attack bench, `tests/soak/attacks.py`."""
