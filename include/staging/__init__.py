"""What travels between tasks: Parquet on the staging store, and the small manifests that XCom carries."""
