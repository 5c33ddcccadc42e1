"""Episodes and the connections they belong to; never two in one.

The wire carries no identity. Where a port or an API key belongs to one evaluator, a new connection
of it that goes on without a reset continues the episode. Elsewhere every connection is an episode
of its own, and a connection that could be either is refused. Clients that never send a reset
(openpi) start an episode with every connection.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.protocol import State

from hearth.core.errors import ServingError

if TYPE_CHECKING:  # a server of other policies starts without jax
    from hearth.policy.runner import Request

_PONG_SECONDS = 5.0  # a client that is busy answers within; one that was cut off never does


class PolicyLike(Protocol):
    """What the server needs of a policy: one episode's state.

    One that also has the halves `prepare` and `finish` (see `hearth.policy.runtime.Policy`) shares
    predictions with others.
    """

    def reset(self) -> None:
        """Forget the episode."""
        ...

    def act(self, observation: dict[str, Any]) -> np.ndarray:
        """The action (D,) for one official observation map."""
        ...


class Episode:
    """One client's episode and what its next connection needs to go on.

    Attributes:
        policy: acts in it.
        identity: of its evaluator; None on a shared port.
        connection: the one that plays it now or did last.
        lock: held while a request is answered.
        announced: it began with a reset, as the official evaluators do.
        started: it has seen an observation.
        broken: an error ended it; only a reset helps.
        last: the last observation's frame and its answer, for a client that asks again.
    """

    def __init__(
        self, policy: PolicyLike, identity: str | None, connection: ServerConnection
    ) -> None:
        self.identity = identity
        self.connection = connection
        self.lock = asyncio.Lock()
        self._replace(policy, announced=False)

    def _replace(self, policy: PolicyLike, announced: bool) -> None:
        self.policy = policy
        self.announced, self.started, self.broken = announced, False, False
        self.last: tuple[bytes, bytes] | None = None
        self._ahead: deque[np.ndarray] = deque()
        policy.reset()

    def begin(self, announced: bool) -> None:
        """Forget what was; `announced`: by a reset."""
        self._replace(self.policy, announced)

    def prepare(self, observation: Mapping[str, Any]) -> np.ndarray | Request:
        """The next planned action (D,), or what to ask the network for."""
        self.started = True
        if self._ahead:
            return self._ahead.popleft()
        halves = getattr(self.policy, "prepare", None)
        if halves is None:
            return np.asarray(self.policy.act(dict(observation)))
        return halves(observation)

    def look_ahead(
        self, observation: Mapping[str, Any], action: np.ndarray, count: int
    ) -> np.ndarray | None:
        """The planned actions from `action` on, (count, D), which count as executed then.

        None where the policy predicts anew before: those in between are kept for later steps.
        """
        if not hasattr(self.policy, "prepare"):
            return None
        rows = [action]
        while len(rows) < count:
            due = self.prepare(observation)
            if not isinstance(due, np.ndarray):  # dropped; the observation that is due asks again
                self._ahead.extend(rows[1:])
                return None
            rows.append(due)
        return np.stack(rows)


class Episodes:
    """Gives every connection its episode."""

    def __init__(self, make_policy: Callable[[], PolicyLike], reconnect_seconds: float) -> None:
        """
        Args:
            make_policy: makes the policy of a new episode.
            reconnect_seconds: how long a lost connection on a shared port may still come back.
        """
        self._make_policy, self._reconnect_seconds = make_policy, reconnect_seconds
        self._known: dict[str, Episode] = {}  # by identity
        self._shared: set[Episode] = set()  # connected, without identity
        self._lost: deque[float] = deque()  # when episodes without identity lost their connection

    async def claim(
        self, identity: str | None, connection: ServerConnection, begins: bool
    ) -> tuple[Episode, bool]:
        """The episode of a new connection at its first frame.

        Args:
            identity: of the evaluator behind it, if that is known.
            connection: which plays the episode from now on.
            begins: the first frame is a reset.

        Returns:
            The episode, and whether it goes on where an earlier connection left it.

        Raises:
            ServingError: the evaluator is connected already, its episode ended with an error, or
                it is not clear whose episode goes on.
        """
        if identity is None:
            if not begins:
                await self._refuse_if_ambiguous()
            episode = Episode(self._make_policy(), None, connection)
            self._shared.add(episode)
            return episode, False
        episode = self._known.get(identity)
        if episode is None:
            episode = self._known[identity] = Episode(self._make_policy(), identity, connection)
            return episode, False
        await self._take_over(episode, connection)
        if begins:
            return episode, False
        async with episode.lock:  # a request of the connection before may be under way
            if episode.announced and episode.broken:
                raise ServingError(
                    f"the episode of {identity} ended with an error; send a reset to start another"
                )
            if not episode.announced:
                episode.begin(announced=False)
        return episode, episode.announced

    def leave(self, episode: Episode, connection: ServerConnection) -> None:
        """A connection has ended."""
        code = connection.close_code
        if episode.identity is not None:
            if episode.connection is connection and code == CloseCode.NORMAL_CLOSURE:
                episode.announced = False  # its evaluator is done; whoever comes next starts anew
            return
        self._shared.discard(episode)
        lost = code != CloseCode.NORMAL_CLOSURE  # a proxy or a client that fails says goodbye too
        if lost and episode.announced and episode.started and not episode.broken:
            self._forget_old()
            self._lost.append(time.monotonic())

    async def _take_over(self, episode: Episode, connection: ServerConnection) -> None:
        before = episode.connection
        if await _alive(before):
            raise ServingError(
                f"the evaluator of {episode.identity} is connected from {before.remote_address} "
                "already; use a port or an API key for each evaluator"
            )
        if episode.connection is not before:  # another new connection was faster
            return await self._take_over(episode, connection)
        episode.connection = connection
        before.transport.abort()
        return None

    async def _refuse_if_ambiguous(self) -> None:
        """An observation without a reset: an openpi client, or an evaluator that was cut off?"""
        under_way = [one for one in self._shared if one.announced and one.started]
        alive = await asyncio.gather(*(_alive(one.connection) for one in under_way))
        self._forget_old()
        lost = len(self._lost) + alive.count(False)
        if lost:
            raise ServingError(
                f"{lost} episode(s) on this port lost their connection in the last "
                f"{self._reconnect_seconds:g} s, and this connection goes on without a reset: it "
                "is not clear whose it is. Send a reset first, or serve each evaluator on a port "
                "or with an API key of its own"
            )

    def _forget_old(self) -> None:
        oldest = time.monotonic() - self._reconnect_seconds
        while self._lost and self._lost[0] < oldest:
            self._lost.popleft()


async def _alive(connection: ServerConnection) -> bool:
    """Whether the other side still answers."""
    if connection.state is not State.OPEN:
        return False
    try:
        async with asyncio.timeout(_PONG_SECONDS):
            await (await connection.ping())
    except (TimeoutError, ConnectionClosed):
        return False
    return True
