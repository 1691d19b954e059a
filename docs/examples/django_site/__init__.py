"""Django site with a feed for each reader: the example of the documentation's Django page."""
