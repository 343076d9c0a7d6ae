"""From a picture to the network's inputs: sizes, filters, colours, scales, inputs beside it."""
