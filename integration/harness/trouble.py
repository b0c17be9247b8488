"""What can go wrong with an origin, as `Trouble` for `harness.proxy`."""

import itertools
import re
import threading
from collections import Counter
from dataclasses import replace

from harness.proxy import Forward, Trouble


def is_data(request: Forward) -> bool:
    """Whether it reads an object's bytes, and does not list."""
    return request.command == "GET" and not re.search("comp=list|list-type", request.path)


def data(trouble: Trouble) -> Trouble:
    """Trouble with data reads alone."""
    return lambda request: is_data(request) and trouble(request)


def every(nth: int, trouble: Trouble) -> Trouble:
    """Trouble with every `nth` request, the first one spared."""
    count = itertools.count(1)
    return lambda request: next(count) % nth == 0 and trouble(request)


def first(amount: int, trouble: Trouble) -> Trouble:
    """Trouble with the first `amount` requests."""
    count = itertools.count()
    return lambda request: next(count) < amount and trouble(request)


def first_of_each(trouble: Trouble) -> Trouble:
    """Trouble with the first request for each range of each object."""
    seen: Counter[tuple[str, str]] = Counter()

    def meet(request: Forward) -> bool:
        what = (request.path, request.headers.get("range") or "")
        seen[what] += 1
        return seen[what] == 1 and trouble(request)

    return meet


def one_of(*troubles: Trouble) -> Trouble:
    """Whichever trouble answers first."""
    return lambda request: any(trouble(request) for trouble in troubles)


def delayed(*seconds: float) -> Trouble:
    """Latency, one of `seconds` after the other, so that answers overtake each other."""
    turns = itertools.cycle(seconds)

    def wait(request: Forward) -> bool:
        request.server.released.wait(next(turns))
        return False

    return wait


def answered(status: int, **headers: str) -> Trouble:
    """A bare status; `_` in a header's name stands for `-`."""

    def refuse(request: Forward) -> bool:
        request.refuse(status, **headers)
        return True

    return refuse


def hung(request: Forward) -> bool:
    """No answer until the trouble ends."""
    request.server.hanging += 1
    request.server.released.wait(60)
    request.drop()
    return True


def reset_before(request: Forward) -> bool:
    """Reset the connection instead of an answer."""
    request.note(0, 0)
    request.reset()
    return True


def reset_within(request: Forward) -> bool:
    """Reset the connection half-way through the body."""
    answer = request.ask()
    request.send(replace(answer, data=answer.data[: len(answer.data) // 2]))
    request.reset()
    return True


def trickled(rate: float) -> Trouble:
    """Body bytes one by one, `rate` a second."""

    def send(request: Forward) -> bool:
        request.server.hanging += 1
        request.send(replace(request.ask(), rate=rate))
        return True

    return send


def short(request: Forward) -> bool:
    """Half of the body, and a length that says so."""
    answer = request.ask()
    half = len(answer.data) // 2
    request.send(replace(answer, data=answer.data[:half], length=half))
    return True


def cut(request: Forward) -> bool:
    """Half of the body, then a proper end of the connection."""
    answer = request.ask()
    request.send(replace(answer, data=answer.data[: len(answer.data) // 2]))
    return True


def overlong(request: Forward) -> bool:
    """More bytes than the range has, and a length that says so."""
    answer = request.ask()
    body = answer.data + b"more"
    request.send(replace(answer, data=body, length=len(body)))
    return True


def other_range(request: Forward) -> bool:
    """Other bytes than were asked for, as `Content-Range` admits."""
    return shifted(request, "bytes {}-{}/{}")


def no_range(request: Forward) -> bool:
    """A part without `Content-Range`."""
    return shifted(request, None)


def shifted(request: Forward, form: str | None) -> bool:
    """The answer to a range that starts a byte earlier and is as long."""
    answer = request.ask()
    headers = [(k, v) for k, v in answer.headers if k.lower() != "content-range"]
    given = next((v for k, v in answer.headers if k.lower() == "content-range"), "0-0/0")
    low, high, size = (int(one) for one in re.findall(r"\d+", given))
    if form:
        headers.append(("content-range", form.format(max(low - 1, 0), high - 1, size)))
    body = b"\0" + answer.data[:-1]
    request.send(replace(answer, headers=headers, data=body))
    return True


def resumed_elsewhere() -> Trouble:
    """Break each body off once, and go on a byte too early when asked for the rest."""
    broken = set()
    lock = threading.Lock()

    def meet(request: Forward) -> bool:
        with lock:
            again = request.path in broken
            broken.add(request.path)
        return other_range(request) if again else reset_within(request)

    return meet
