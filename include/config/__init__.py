"""What the pipeline is told: object files and environments, both validated before anything runs."""
