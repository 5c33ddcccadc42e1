"""All comparisons of a recorded set, block by block."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tests.parity import acting, exchange, flow, network
from tests.parity.checks import Check
from tests.parity.golden import Golden
from tests.parity.reference_network import ReferenceNetwork

Block = Callable[[Golden, ReferenceNetwork], list[Check]]


def _both(name: str, compare: Callable[..., list[Check]]) -> dict[str, Block]:
    """A block with all cameras, and the same where some are masked."""
    return {
        name: partial(compare, some_cameras=False),
        f"{name}, masked": partial(compare, some_cameras=True),
    }


def _acting(compare: Callable[[Golden], list[Check]]) -> Block:
    return lambda golden, _: compare(golden)


BLOCKS: dict[str, Block] = {
    "state": _acting(acting.state),
    "actions": _acting(acting.actions),
    "tokens": _acting(acting.tokens),
    "stages": _acting(acting.stages),
    "chunking": _acting(acting.chunking),
    "correction": _acting(acting.correction),
    "episode": _acting(acting.episode),
    "exchange": exchange.exchange,
    "pi05": exchange.pretrained,
    "fusion": flow.fusion,
    "noise": flow.noise,
    **_both("prefix", network.prefix),
    **_both("backbone", network.backbone),
    **_both("expert", network.expert),
    **_both("losses", network.losses),
    **_both("sampling", flow.sampling),
    "gradients": network.gradients,
    "insulation": network.insulated_gradients,
}
