"""The requests of graphical clients, one by one, according to their sources. They can't run on a test machine."""
