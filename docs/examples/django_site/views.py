"""The site's views. A real site would take the reader's name from request.user."""

from __future__ import annotations

from functools import partial

from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from django_site import feeds
from feedstore import Activity
from feedstore.errors import InvalidCursorError
from feedstore.ids import id_to_text

PAGE_LENGTH = 25


@csrf_exempt
@require_POST
def follow(request: HttpRequest, followee: str) -> HttpResponse:
    """Let the reader follow another user."""
    feeds.follow(request.POST["reader"], followee)
    return HttpResponse(status=204)


@csrf_exempt
@require_POST
@transaction.atomic
def like(request: HttpRequest, photo: str) -> HttpResponse:
    """Store a like in the site's database, and deliver it to the followers after the commit."""
    activity = Activity(request.POST["reader"], "like", f"photo:{photo}")
    transaction.on_commit(partial(feeds.publish, activity))
    return JsonResponse({"id": id_to_text(activity.id)}, status=201)


@require_GET
def timeline(request: HttpRequest, reader: str) -> HttpResponse:
    """Return a page of a reader's timeline."""
    try:
        page = feeds.page_of(reader, PAGE_LENGTH, request.GET.get("cursor"))
    except InvalidCursorError as error:
        return HttpResponseBadRequest(str(error))
    items = [
        {"id": id_to_text(item.id), "actor": item.actor, "verb": item.verb, "object": item.object, "time": item.time}
        for item in page.items
    ]
    return JsonResponse({"items": items, "next": page.next_cursor, "complete": page.complete})
