"""What Doorman knows: accounts, credentials, rules. Nothing here knows of HTTP."""
