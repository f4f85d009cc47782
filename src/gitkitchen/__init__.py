"""GitKitchen: DataOps on Git. Every branch is a kitchen."""

__version__ = "0.1.0"
