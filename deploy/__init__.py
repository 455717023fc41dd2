"""From a clone to a running MWAA environment: `python -m deploy {up,plan,destroy,verify,ddl}`."""
