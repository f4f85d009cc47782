"""What a job of GitHub Actions does, from its event to the files that it leaves behind."""
