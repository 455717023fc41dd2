"""The laptop's engine: an Iceberg REST endpoint over the catalog of the lake folder, and DuckDB on top of it."""
