"""S3-compatible storage: listing, transfer, retries and errors."""
