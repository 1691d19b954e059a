"""The site's settings: FEEDSTORE_URL is the only one that feedstore adds."""

import os

SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "for-the-example-only")
ALLOWED_HOSTS = ["localhost", "testserver"]
ROOT_URLCONF = "django_site.urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "site.db"}}
INSTALLED_APPS = ["django_site"]
USE_TZ = True

FEEDSTORE_URL = os.environ.get("FEEDSTORE_URL", "sqlite:///feeds.db")
