"""Stand-ins for the cloud on loopback: AWS by moto, and a real Trino on it."""
