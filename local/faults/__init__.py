"""`make faults`: every way in which Salesforce can fail, through the real pipeline, against what a calm run leaves."""
