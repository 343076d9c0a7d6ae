"""The measuring room: worker processes, launches and rounds, the wall between two worlds."""
