"""What a person asks or orders from the command line: `python -m salesforce_history.ask`."""
