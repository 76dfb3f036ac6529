"""What one would write without Tidemill: small loops that the figures are set against."""
