"""What the locked requirements are (an SBOM), and what is known against them."""
