"""The status page: what the ledger, Git and the project say, as a static site."""
