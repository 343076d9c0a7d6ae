"""Files in stores and on servers: named by a URL, locked by digest, fetched once into the cache."""
