"""A Django site whose readers see what those they follow did: the example of the documentation's Django page."""
