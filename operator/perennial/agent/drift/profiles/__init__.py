"""Profiles: counts of one hour of captured requests, kept in S3, so that no later comparison reads the hour again."""
