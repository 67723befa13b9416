"""audsql: audiences and deliveries of LINE as text, planned, reviewed and applied once."""

__version__ = "0.5.0"
