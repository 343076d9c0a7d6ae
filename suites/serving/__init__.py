"""What is around a model, each as a recipe."""
