"""Stand-ins that let the pipeline run on a laptop: never deployed."""
