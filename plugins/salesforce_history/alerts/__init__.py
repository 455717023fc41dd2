"""Who is told what: failures, SLAs, anomalies and recoveries, by SNS, e-mail and Slack; and the watch over them."""
