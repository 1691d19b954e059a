"""HTML of the application's pages. Everything that users wrote is escaped by :func:`feedstore.serve.fill`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from pathlib import Path
from urllib.parse import urlencode

from feedapp.feeds import COMMENT, FOLLOW, LIKE, POST
from feedapp.forms import LONGEST_NAME, LONGEST_TEXT
from feedapp.network import MOST_COUNTED, Entry, Profile, newest_of
from feedstore import Activity, Verb, VerbRegistry
from feedstore.aggregated import AggregatedActivity
from feedstore.ids import id_to_text
from feedstore.rendering import SentenceRenderer
from feedstore.serve import Markup, fill
from feedstore.storage import Page

_TEMPLATES = Path(__file__).parent / "templates"
_HUES = 12
_EXCERPT = 80
_NOTHING = Markup()
_CURRENT = Markup(' aria-current="page"')
VERBS = VerbRegistry(
    [
        *(Verb(POST, "posted"), Verb(LIKE, "liked"), Verb(COMMENT, "commented on"), Verb(FOLLOW, "followed")),
        # The verbs of the demo's data.
        *(Verb("commit", "committed"), Verb("review", "reviewed"), Verb("ack", "acknowledged"), Verb("test", "tested")),
        *(Verb("sign-off", "signed off"), Verb("report", "reported"), Verb("co-author", "co-authored")),
    ]
)
SENTENCES = {POST: "{actors} posted"}


@dataclass(frozen=True)
class Visit:
    """The parts that all pages of a signed-in user share.

    ``here`` is the path of the page, ``unseen`` the number of the badge, and ``said`` the result of the last form.
    """

    name: str
    token: str
    here: str
    unseen: int
    said: str


def sign_in_page(token: str) -> str:
    """Return the page of a visitor who has not signed in."""
    content = _filled("sign_in.html", token=token, longest=str(LONGEST_NAME))
    return _frame("Sign in", content)


def error_page(said: str, name: str | None, token: str) -> str:
    """Return the page that shows an error."""
    visit = None if name is None else Visit(name, token, "/", 0, "")
    return _frame("That did not work", _filled("error.html", said=f"{said[:1].upper()}{said[1:]}."), visit)


def home_page(visit: Visit, entries: Page[Entry], newest: str, cursor: str | None) -> str:
    """Return a page of a home feed; the first one has the form to post, and is live."""
    if cursor is not None:
        return _frame("Home, older entries", _feed(visit, entries, "home"), visit)
    composer = _filled("composer.html", hidden=_hidden(visit), longest=str(LONGEST_TEXT), newest=newest)
    return _frame("Home", Markup(composer + _feed(visit, entries, "home")), visit)


def profile_page(visit: Visit, profile: Profile) -> str:
    """Return the profile of a user."""
    counts = f"{_number(profile.counts.followers, 'follower')}, follows {profile.counts.following}"
    actions = _NOTHING
    if profile.name != visit.name:
        names = ["unblock"] if profile.is_blocked else ["unfollow" if profile.is_following else "follow", "block"]
        actions = _joined(
            _button(visit, name, name.title(), profile.name, {"name": profile.name}, is_first=name == "follow")
            for name in names
        )
    about = _filled("profile.html", counts=counts, actions=actions)
    if profile.is_blocked:
        return _frame(profile.name, Markup(about + fill('<p class="empty">You have blocked this user.</p>')), visit)
    return _frame(profile.name, Markup(about + _feed(visit, profile.entries, "profile")), visit)


def entry_page(visit: Visit, entry: Entry, comments: Page[Entry]) -> str:
    """Return the page of one entry with its comments."""
    shown = fill('<ol class="timeline">$entry</ol>', entry=_entry(visit, entry, is_alone=True))
    form = _filled(
        "comment.html",
        hidden=_hidden(visit, id=id_to_text(entry.subject.serialization_id)),
        longest=str(LONGEST_TEXT),
    )
    listed = Markup("<h2>Comments</h2>" + _feed(visit, comments, "thread"))
    return _frame(_title_of(entry.subject, visit), Markup(shown + form + listed), visit)


def notifications_page(visit: Visit, page: Page[AggregatedActivity], posts: Mapping[str, Activity]) -> str:
    """Return a page of notifications: the unread ones are bold."""
    renderer = _renderer(visit.name, posts)
    groups = [_notification(group, renderer, posts) for group in page]
    newest = {"id": id_to_text(newest_of(page))} if page.items else {}
    button = _NOTHING
    if newest:
        button = fill('<div class="read-all">$form</div>', form=_button(visit, "read", "Mark all as read", "", newest))
    listed = _filled("feed.html", label="Notifications", entries=_joined(groups), end=_end(visit, page, "bell"))
    return _frame("Notifications", Markup(button + listed), visit)


def _feed(visit: Visit, entries: Page[Entry], kind: str) -> Markup:
    listed = _joined(_entry(visit, entry, in_thread=kind == "thread") for entry in entries)
    return _filled("feed.html", label="Entries", entries=listed, end=_end(visit, entries, kind))


_ENDS = {
    "home": ("This is where your feed begins.", "Nothing here yet. Write a post, or follow a user."),
    "profile": ("This is where this profile begins.", "This user has not done anything yet."),
    "thread": ("There are no older comments.", "There are no comments yet."),
    "bell": ("There are no older notifications.", "You have no notifications yet."),
}


def _end(visit: Visit, page: Page[Entry] | Page[AggregatedActivity], kind: str) -> Markup:
    """Return the end of a list: the link to older entries, or the reason why there are none."""
    path = visit.here.partition("?")[0]
    if page.next_cursor is not None:
        kept = [one for one in visit.here.partition("?")[2].split("&") if one and not one.startswith("cursor=")]
        query = "&".join([*kept, urlencode({"cursor": page.next_cursor})])
        return fill('<a class="older" rel="next" href="$url">Older entries</a>', url=f"{path}?{query}")
    if page.floor is not None:
        return fill("Older entries were trimmed: this list keeps the newest ones only.")
    whole, empty = _ENDS[kind]
    return fill("$said", said=whole if page.items or "cursor=" in visit.here else empty)


def _entry(visit: Visit, entry: Entry, *, is_alone: bool = False, in_thread: bool = False) -> Markup:
    activity, subject = entry.activity, entry.subject
    renderer = _renderer(visit.name, {str(subject.object): subject} if subject.verb == POST else {})
    return _filled(
        "entry.html",
        id=id_to_text(activity.serialization_id),
        hue=str(_hue_of(activity.actor)),
        initial=str(activity.actor)[:1].upper(),
        sentence=_sentence(renderer, activity),
        quotes=_quotes(entry, in_thread),
        actions=_actions(visit, entry, is_alone=is_alone, in_thread=in_thread),
        time=activity.time.isoformat(),
        when=f"{activity.time:%d %b %Y, %H:%M} UTC",
        url=_entry_url(subject if entry.can_react else activity),
    )


def _quotes(entry: Entry, in_thread: bool) -> Markup:
    """Return the text of an activity, and above it that of the post that it is about, which a thread shows once."""
    quotes = []
    if entry.subject != entry.activity and not in_thread:
        quotes.append(fill('<blockquote class="text about">$text</blockquote>', text=_excerpt(entry.subject, 200)))
    text = entry.activity.extra_context.get("text")
    if isinstance(text, str) and text:
        quotes.append(fill('<blockquote class="text">$text</blockquote>', text=text))
    return _joined(quotes)


def _actions(visit: Visit, entry: Entry, *, is_alone: bool, in_thread: bool) -> Markup:
    """Return the buttons of an entry. Posts have the one to like them, and all entries lead to their post."""
    activity, subject = entry.activity, entry.subject
    actions = []
    fields = {"id": id_to_text(activity.serialization_id)}
    if entry.can_react and activity.verb not in (LIKE, COMMENT):
        like = ("unlike", "Unlike") if entry.is_liked else ("like", "Like")
        about = f"{_owner(subject, visit.name)} entry of {subject.time:%d %b %Y, %H:%M}"
        actions.append(_button(visit, *like, about, fields, anchor=fields["id"]))
    if entry.can_react and not in_thread:
        numbers = f"{_number(entry.likes, 'like')}, {_number(entry.comments, 'comment')}"
        actions.append(fill('<a href="$url">$numbers</a>', url=_entry_url(subject), numbers=numbers))
    if activity.actor == visit.name and activity.verb != FOLLOW:
        shown = Visit(visit.name, visit.token, "/", 0, "") if is_alone else visit
        actions.append(_button(shown, "delete", "Delete", f"your {activity.verb}", fields))
    return _joined(fill("<li>$action</li>", action=action) for action in actions)


def _notification(group: AggregatedActivity, renderer: SentenceRenderer, posts: Mapping[str, Activity]) -> Markup:
    thing = str(group.object_ids[0]) if group.object_ids else ""
    about = [one for one in (posts.get(thing), *group.activities) if one is not None]
    text = next((_excerpt(one, _EXCERPT) for one in about if one.extra_context.get("text")), "")
    sentence = Markup(
        renderer.sentence(
            group.actor_ids,
            escape(group.verb),
            group.object_ids,
            other_actors=max(group.actor_count - len(group.actor_ids), 0),
        )
    )
    return _filled(
        "notification.html",
        id=id_to_text(group.id),
        state="read" if group.is_read else "unread",
        said=_NOTHING if group.is_read else Markup('<span class="unseen-text">Unread: </span>'),
        sentence=sentence,
        text=text,
        time=group.updated_at.isoformat(),
        when=f"{group.updated_at:%d %b %Y, %H:%M} UTC",
    )


def _renderer(viewer: str, posts: Mapping[str, Activity]) -> SentenceRenderer:
    """Return the renderer of sentences in HTML: its names are links, and its messages hold no user's words."""

    def actor_name(name: str | int) -> str:
        return fill('<a class="actor" href="$url">$name</a>', url=_profile_url(str(name)), name=str(name))

    def object_name(thing: str | int) -> str:
        post = posts.get(str(thing))
        if post is not None:
            return fill('<a href="$url">$owner post</a>', url=_entry_url(post), owner=_owner(post, viewer))
        kind, colon, name = str(thing).partition(":")
        if kind == "user" and colon:
            return "you" if name == viewer else actor_name(name)
        return "a deleted post" if kind == POST and colon else escape(str(thing))

    return SentenceRenderer(VERBS, actor_name=actor_name, object_name=object_name, sentences=SENTENCES)


def _sentence(renderer: SentenceRenderer, activity: Activity) -> Markup:
    # An ingested verb may be any str, and it is a part of the message.
    return Markup(renderer.sentence([activity.actor], escape(activity.verb), activity.object))


def _title_of(subject: Activity, visit: Visit) -> str:
    if subject.verb != POST:
        return str(subject.object)
    return "Your post" if subject.actor == visit.name else f"{subject.actor}'s post"


def _owner(subject: Activity, viewer: str) -> str:
    return "your" if subject.actor == viewer else f"{subject.actor}'s"


def _excerpt(activity: Activity, longest: int) -> str:
    text = str(activity.extra_context.get("text", activity.object))
    return text if len(text) <= longest else f"{text[:longest]}…"


def _button(
    visit: Visit,
    action: str,
    label: str,
    about: str,
    fields: Mapping[str, str],
    *,
    anchor: str = "",
    is_first: bool = False,
) -> Markup:
    """Return a form that consists of one button. ``about`` completes its label for screen readers."""
    return _filled(
        "button.html",
        action=action,
        label=label,
        about=f" {about}" if about else "",
        style="primary" if is_first else "quiet",
        hidden=_hidden(visit, f"#e-{anchor}" if anchor else "", **fields),
    )


def _hidden(visit: Visit, anchor: str = "", **fields: str) -> Markup:
    """Return the hidden fields of a form."""
    template = '<input type="hidden" name="$name" value="$value">'
    values = {"token": visit.token, "back": f"{visit.here}{anchor}", **fields}
    return _joined(fill(template, name=name, value=value) for name, value in values.items())


def _number(count: int, thing: str) -> str:
    number = f"{count}" if count < MOST_COUNTED else f"{MOST_COUNTED - 1}+"
    return f"{number} {thing}" if count == 1 else f"{number} {thing}s"


def _hue_of(name: str | int) -> int:
    return sum(map(ord, str(name))) % _HUES


def _profile_url(name: str) -> str:
    return f"/profile?{urlencode({'name': name})}"


def _entry_url(activity: Activity) -> str:
    return f"/entry?{urlencode({'id': id_to_text(activity.serialization_id)})}"


def _frame(heading: str, content: Markup, visit: Visit | None = None) -> str:
    bar, said, title = _NOTHING, "", heading
    if visit is not None:
        said = visit.said
        title = f"({visit.unseen}) {heading}" if visit.unseen else heading
        paths = {"at_home": "/", "at_bell": "/notifications", "at_profile": _profile_url(visit.name)}
        bar = _filled(
            "bar.html",
            name=visit.name,
            url=_profile_url(visit.name),
            **{name: _CURRENT if visit.here == path else _NOTHING for name, path in paths.items()},
            hidden=_hidden(visit),
            unseen=str(visit.unseen),
            badge=Markup("" if visit.unseen else " hidden"),
        )
    return _filled("frame.html", title=title, heading=heading, bar=bar, said=said, content=content)


def _filled(template: str, **parts: str) -> Markup:
    return fill(_template(template), **parts)


@lru_cache
def _template(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _joined(parts: Iterable[Markup]) -> Markup:
    return Markup("".join(parts))
