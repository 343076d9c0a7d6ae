"""A detector of faces before a tracker."""
