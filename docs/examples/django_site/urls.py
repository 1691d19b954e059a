"""The site's addresses."""

from django.urls import path

from django_site import views

urlpatterns = [
    path("users/<str:followee>/follow", views.follow),
    path("photos/<str:photo>/like", views.like),
    path("timelines/<str:reader>", views.timeline),
]
