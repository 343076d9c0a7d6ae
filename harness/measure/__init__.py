"""The measuring room: worker processes, launches and rounds, and the wall between the two worlds."""
