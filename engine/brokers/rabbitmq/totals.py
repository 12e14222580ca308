"""Totals of queues over HTTP: from RabbitMQ's management API, or from its Prometheus endpoint.

AMQP tells what is ready, and not what is out with consumers. Asked gently: the management API page by page in the
order of names, without statistics, for those make the broker collect details of every queue.
https://www.rabbitmq.com/docs/management#http-api-endpoints, https://www.rabbitmq.com/docs/prometheus#detailed-endpoint
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from http.client import HTTPException
from typing import NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from engine.errors import AccessRefused, BrokerError, BrokerUnavailable

#: Seconds that one answer may take.
TIMEOUT = 4.0
#: Queues on a page: the most that the broker gives.
PAGE = 500
#: Bytes of an answer that are read.
LONGEST = 8 * 1024 * 1024

#: Where each is found beside a broker that was reached by AMQP.
MANAGEMENT_PORT, MANAGEMENT_TLS_PORT, PROMETHEUS_PORT = 15672, 15671, 15692

_LINE = re.compile(r"rabbitmq_detailed_queue_(messages_ready|messages_unacked|consumers)\{([^}]*)\} ([0-9.eE+]+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Total(NamedTuple):
    """What a queue holds; `consumers` is None where the answer does not say."""

    ready: int
    unacked: int
    consumers: int | None


class Endpoint(NamedTuple):
    """Where to ask. `user` and `password` go only to the management API; `shown` has no password."""

    url: str
    prometheus: bool
    vhost: str
    user: str = ""
    password: str = ""

    @property
    def shown(self) -> str:
        """The address for people."""
        return self.url


class Answer(NamedTuple):
    """Totals by queue, and the page that follows, 0 when this was the last."""

    totals: Mapping[str, Total]
    next_page: int


def endpoints(broker_url: str, configured: str) -> list[Endpoint]:
    """Where to ask, the likeliest first; nowhere for "off" and for a broker without HTTP."""
    broker = urlsplit(broker_url)
    if configured == "off" or broker.scheme not in ("amqp", "amqps"):
        return []
    vhost = unquote(broker.path[1:]) or "/"
    user, password = unquote(broker.username or "guest"), unquote(broker.password or "guest")
    if configured:
        given = urlsplit(configured)
        place = f"{given.scheme}://{_host(given.hostname or '')}{f':{given.port}' if given.port else ''}"
        prometheus = given.port == PROMETHEUS_PORT or given.path.startswith("/metrics")
        own = unquote(given.username) if given.username else user
        secret = unquote(given.password) if given.password else password
        return [Endpoint(place, prometheus, vhost, "" if prometheus else own, "" if prometheus else secret)]
    host = _host(broker.hostname or "localhost")
    found = [Endpoint(f"http://{host}:{PROMETHEUS_PORT}", True, vhost)]
    if broker.scheme == "amqps":  # no password ever leaves in the clear where AMQP itself is encrypted
        return [Endpoint(f"https://{host}:{MANAGEMENT_TLS_PORT}", False, vhost, user, password), *found]
    return [Endpoint(f"http://{host}:{MANAGEMENT_PORT}", False, vhost, user, password), *found]


def ask(endpoint: Endpoint, prefix: str, page: int = 1) -> Answer:
    """One request for the queues whose names begin with `prefix`. Blocks; raises `BrokerUnavailable` or `AccessRefused`."""
    if endpoint.prometheus:
        query = urlencode({"vhost": endpoint.vhost, "family": "queue_coarse_metrics"})
        query += "&family=queue_consumer_count"
        text = _get(endpoint, f"/metrics/detailed?{query}").decode("utf-8", "replace")
        return Answer(read_prometheus(text.splitlines(), endpoint.vhost, prefix), 0)
    query = urlencode(
        {
            "page": page,
            "page_size": PAGE,
            "name": f"^{re.escape(prefix)}",
            "use_regex": "true",
            "disable_stats": "true",
            "enable_queue_totals": "true",
        }
    )
    return read_management(_get(endpoint, f"/api/queues/{quote(endpoint.vhost, safe='')}?{query}"), endpoint)


def read_management(body: bytes, endpoint: Endpoint) -> Answer:
    """What a page of the management API says."""
    try:
        found = json.loads(body)
        totals = {
            str(item["name"]): Total(
                int(item["messages_ready"]), int(item["messages_unacknowledged"]), _whole(item.get("consumers"))
            )
            for item in found["items"]
            if "messages_ready" in item
        }
        page, pages = int(found["page"]), int(found["page_count"])
    except (ValueError, KeyError, TypeError) as error:
        raise _unread(endpoint) from error
    return Answer(totals, page + 1 if page < pages else 0)


def read_prometheus(lines: Iterable[str], vhost: str, prefix: str) -> dict[str, Total]:
    """What the detailed endpoint says of queues with this prefix."""
    counted: dict[str, dict[str, int]] = {}
    for line in lines:
        match = _LINE.match(line)
        if match is None:
            continue
        what, labels, number = match.groups()
        known = {name: value.replace('\\"', '"').replace("\\\\", "\\") for name, value in _LABEL.findall(labels)}
        queue = known.get("queue", "")
        if known.get("vhost") == vhost and queue.startswith(prefix):
            counted.setdefault(queue, {})[what] = int(float(number))
    return {
        queue: Total(found["messages_ready"], found["messages_unacked"], found.get("consumers"))
        for queue, found in counted.items()
        if "messages_ready" in found and "messages_unacked" in found
    }


class _NoRedirects(HTTPRedirectHandler):
    """Credentials go where they were meant to go."""

    def redirect_request(self, *_: object) -> None:
        return None


def _get(endpoint: Endpoint, path: str) -> bytes:
    request = Request(endpoint.url + path)  # noqa: S310  # http or https, by construction
    if endpoint.user:
        secret = b64encode(f"{endpoint.user}:{endpoint.password}".encode()).decode()
        request.add_header("Authorization", f"Basic {secret}")
    try:
        with build_opener(_NoRedirects).open(request, timeout=TIMEOUT) as response:
            body: bytes = response.read(LONGEST + 1)
    except HTTPError as error:
        if error.code in (401, 403):
            raise AccessRefused(
                f"{endpoint.shown} refuses this user",
                hint='Give the user the tag `monitoring`, or set management = "off".',
            ) from error
        raise _unread(endpoint, f"answers {error.code}") from error
    except (URLError, HTTPException, OSError, ValueError) as error:
        raise BrokerUnavailable(f"{endpoint.shown} does not answer") from error
    if len(body) > LONGEST:
        raise _unread(endpoint, "says more than 8 MiB")
    return body


def _unread(endpoint: Endpoint, said: str = "says something else") -> BrokerError:
    return BrokerUnavailable(f"{endpoint.shown} {said}; it should be RabbitMQ's management API or Prometheus endpoint")


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _host(name: str) -> str:
    return f"[{name}]" if ":" in name else name
