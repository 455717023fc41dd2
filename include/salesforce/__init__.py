"""Reading Salesforce: the client, the read plan, REST and Bulk API 2.0, extraction to staged Parquet."""
