"""From this repository to a running deployment on AWS: the bundle for Amazon MWAA, and what deploys it."""
