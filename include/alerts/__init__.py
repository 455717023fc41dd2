"""What people on call are told: the alerts' words, their routing, and the table that remembers them."""
