"""Social application: users post, like, comment, follow and block, and see feeds, profiles and notifications."""
