"""The locked requirements: their software bill of materials and their known vulnerabilities."""
