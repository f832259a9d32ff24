"""Addresses that people outside open."""

from django.urls import path

from abm.pages import details

urlpatterns = [
    path("<str:token>", details.page, name="details"),
    path("<str:token>/stop", details.stop, name="details_stop"),
]
