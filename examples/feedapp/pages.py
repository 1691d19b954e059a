"""HTML of the application's two pages."""

from __future__ import annotations

from feedstore.serve import Markup, fill, render_page
from feedstore.serve.page import render_plain_page

_ACCOUNT = """
<form class="account" method="post" action="/sign-out"><b>$name</b><button class="quiet">Sign out</button></form>
"""
_CONTROLS = """
<form class="card" data-post action="/activities" aria-label="Post an activity">
  <div class="row">
    <label class="small">I<select name="verb"><option>posted</option><option>liked</option><option>recommended</option>
      <option>finished</option></select></label>
    <label>object
      <input name="object" required maxlength="200" placeholder="a photo of the lake" autocomplete="off"></label>
  </div>
  <div class="row">
    <label>Comment<textarea name="text" rows="1" maxlength="2000"></textarea></label>
    <button class="primary">Post</button>
  </div>
  <p class="said" role="status"></p>
</form>
<form class="card" data-post action="/follows" aria-label="Follow a user">
  <div class="row">
    <label>Follow<input name="followee" required maxlength="40" placeholder="ann" autocomplete="off"></label>
    <button class="primary">Follow</button>
  </div>
  <p class="said" role="status"></p>
</form>
"""
_SIGN_IN = """
<form class="card narrow" method="post" action="/sign-in">
  <label>Your name<input name="name" required maxlength="40" autofocus autocomplete="username"></label>
  <div class="row"><button class="primary">Sign in</button></div>
  <p class="said">This example asks for no password. Your application authenticates its users.</p>
</form>
"""


def feed_page(name: str) -> str:
    """Return the page of a user's feed."""
    account = fill(_ACCOUNT, name=name)
    return render_page(
        "Your feed",
        f"Live activities of the users that {name} follows",
        "/timeline",
        "/events",
        account=account,
        controls=Markup(_CONTROLS),
    )


def sign_in_page() -> str:
    """Return the sign-in page."""
    return render_plain_page("Sign in", "See the activities of the users that you follow, live", Markup(_SIGN_IN))
