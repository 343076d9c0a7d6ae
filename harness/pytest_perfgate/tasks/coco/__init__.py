"""COCO's annotations as people have them: ids, instances, and what is left out of them."""
