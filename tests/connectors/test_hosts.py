"""Visits of hosts in turn: by the order of events, never by the clock."""

import asyncio

import pytest

from connectors.hosts import LOCAL_AT_ONCE, SILENCES, Hosts
from connectors.web import WebFailed
from connectors.web_address import Policy, Target, checked_url


def target(host: str) -> Target:
    return checked_url(f"http://{host}/", Policy(allow_local=True))


async def at_once(host: str, visits: int) -> int:
    """How many of some visits of a host are under way together at most."""
    hosts, here, most = Hosts(), 0, 0
    done = asyncio.Event()

    async def visit() -> None:
        nonlocal here, most
        async with hosts.turn(target(host)):
            here, most = here + 1, max(most, here + 1)
            await asyncio.wait([asyncio.create_task(done.wait())], timeout=0.01)
            here -= 1

    await asyncio.gather(*(visit() for _ in range(visits)))
    return most


def test_a_host_of_the_internet_is_visited_by_one_at_a_time() -> None:
    assert asyncio.run(at_once("a.example", 3)) == 1


def test_a_host_of_this_machine_by_several() -> None:
    assert asyncio.run(at_once("shop.localhost", 20)) == LOCAL_AT_ONCE


def test_a_slow_host_holds_only_its_own_visitors() -> None:
    async def visits() -> list[str]:
        hosts, order, answer = Hosts(), [], asyncio.Event()

        async def slow() -> None:
            async with hosts.turn(target("slow.example")):
                await answer.wait()
                order.append("slow")

        waiting = [asyncio.create_task(slow()) for _ in range(2)]
        await asyncio.sleep(0)
        async with hosts.turn(target("quick.example")):
            order.append("quick")
        answer.set()
        await asyncio.gather(*waiting)
        return order

    assert asyncio.run(visits()) == ["quick", "slow", "slow"]


def test_a_host_that_never_answers_is_left_alone_and_others_are_not() -> None:
    async def visits() -> None:
        hosts = Hosts()
        for _ in range(SILENCES):
            with pytest.raises(WebFailed, match="timeout"):
                async with hosts.turn(target("dead.localhost")):
                    raise WebFailed("timeout", "it took too long")
        with pytest.raises(WebFailed, match="left alone"):
            async with hosts.turn(target("dead.localhost")):
                raise AssertionError("it was visited")
        async with hosts.turn(target("alive.localhost")):
            pass

    asyncio.run(visits())


def test_a_host_that_answers_with_an_error_is_not_silent() -> None:
    async def visits() -> None:
        hosts = Hosts()
        for _ in range(2 * SILENCES):
            with pytest.raises(WebFailed, match="http_503"):
                async with hosts.turn(target("busy.localhost")):
                    raise WebFailed("http_503", "busy")

    asyncio.run(visits())
