"""The pastebin as the demo of the Python mapper `subconscious` had it, written anew: the same routes and the same calls of the
mapper, on aiohttp, aiohttp-jinja2 and uvloop.

Run as `original.py SOCKET`, where SOCKET is the path of a Redis server's unix socket. Listens on a free port of the loopback
interface and prints its address.

The mapper was made for aioredis 1. Its last such version, 1.3.1, still runs on Python 3.11, with hiredis as its parser, so nothing
stands in for it here. It compares versions by `distutils`, which setuptools provides to newer Pythons.
"""

import socket
import sys

import aiohttp_jinja2
import aioredis
import jinja2
import uvloop
from aiohttp import web
from subconscious.model import Column, RedisModel

LAYOUT = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{% block title %}{% endblock %} - Pastebin</title></head>
<body>
<nav><a href="/">Newest</a> <a href="/pastes">New paste</a></nav>
{% block main %}{% endblock %}
<footer>Kept in Redis.</footer>
</body>
</html>
"""

HOME = """{% extends "layout" %}
{% block title %}Newest{% endblock %}
{% block main %}
<h1>Newest</h1>
<table>
{% for paste in newest %}
<tr><td><a href="/pastes/{{ paste.uuid }}">{{ paste.title }}</a></td><td>{{ paste.created_at }}</td></tr>
{% endfor %}
</table>
{% endblock %}
"""

SHOWN = """{% extends "layout" %}
{% block title %}{{ paste.title }}{% endblock %}
{% block main %}
<h1>{{ paste.title }}</h1>
<p>{{ paste.created_at }}</p>
<pre>{{ paste.body }}</pre>
{% endblock %}
"""


class Paste(RedisModel):
    uuid = Column(type=str, primary_key=True)
    created_at = Column(type=str, required=True, sort=True)
    title = Column(type=str, required=True)
    body = Column(type=str, required=True)


@aiohttp_jinja2.template("home")
async def home(request):
    newest = Paste.all(db=request.app["db"], order_by="-created_at", limit=5)
    return {"newest": [paste async for paste in newest]}


@aiohttp_jinja2.template("shown")
async def show(request):
    paste = await Paste.get_object_or_none(db=request.app["db"], uuid=request.match_info["uuid"])
    if paste is None:
        raise web.HTTPNotFound()
    return {"paste": paste.as_dict()}


def main():
    async def connect(app):
        app["db"] = await aioredis.create_redis(sys.argv[1], encoding="utf-8")

    app = web.Application()
    app.on_startup.append(connect)
    app.router.add_get("/", home)
    app.router.add_get("/pastes/{uuid}", show)
    aiohttp_jinja2.setup(app, loader=jinja2.DictLoader({"layout": LAYOUT, "home": HOME, "shown": SHOWN}), autoescape=True)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    print(f"original: http://127.0.0.1:{listener.getsockname()[1]}/", flush=True)
    # Without a log of requests, as gunicorn ran it.
    web.run_app(app, sock=listener, loop=uvloop.new_event_loop(), access_log=None, print=None)


if __name__ == "__main__":
    main()
