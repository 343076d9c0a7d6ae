"""NudeNet's detector, an export of YOLOv8."""
