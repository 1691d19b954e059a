"""Feed application: users follow each other, and see the activities of the users that they follow live."""
