"""Files in stores and on servers."""
