"""A network that this project did not make, which tells lines of text from the page below them."""
