"""What messaging decides, as plain functions of values."""
