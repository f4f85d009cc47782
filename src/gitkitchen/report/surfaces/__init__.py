"""The pull request's surfaces: check runs, annotations, comment, summary, outputs. Pure values in and out."""
