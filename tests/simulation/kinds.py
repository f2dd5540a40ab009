"""Kinds of scenarios: short ones, each with one family of faults at its worst, long ones with all, and calm ones."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tests.simulation.client import Faults

THEMES = ("training", "serving", "all")


@dataclass(frozen=True)
class Kind:
    """What a scenario is made of."""

    name: str
    theme: str
    faults: dict[str, float]
    troubles: tuple[str, ...] = ()
    actions: tuple[int, int] = (1, 4)
    """How many things the user does, at least and fewer than."""
    more: float = 0.15
    """Chance of each object more at the beginning."""
    bad_pods: float = 0.3
    bad_servers: float = 0.3
    longest: float = 10.0
    """Seconds that a pod works at most."""
    with_lease: bool = False
    kserve: bool = False
    mean_trouble: float = 25.0
    """Seconds between two troubles."""

    @property
    def misses_events(self) -> bool:
        """True when only a listing shows some of what happened."""
        return bool(self.faults.get("lost_event")) or "watch_gone" in self.troubles

    def rates(self) -> Faults:
        """The rates of the faults, to be set to zero once the scenario settles."""
        return Faults(**self.faults)


SHORT = (
    Kind("api", "all", {"refused": 0.12, "unanswered": 0.12, "late_write": 0.04}),
    Kind(
        "watch",
        "all",
        {"lost_event": 0.1, "repeated_event": 0.1, "late_event": 0.15},
        ("watch_gone", "watch_replay"),
    ),
    Kind("crash", "all", {"crash": 0.05, "unanswered": 0.02}, ("restart",)),
    Kind(
        "lease", "all", {"late_write": 0.02, "late_fact": 0.1}, ("two_operators", "cut_off", "restart", "clock_jump"),
        with_lease=True,
    ),
    Kind("two", "all", {"late_event": 0.05}, ("two_operators",)),
    Kind("store", "all", {"store_flaky": 0.25, "late_fact": 0.08}, ("store_outage",)),
    Kind("facts", "all", {"wrong_fact": 0.08, "late_fact": 0.02}),
    Kind("clock", "all", {"late_event": 0.02}, ("clock_jump",), mean_trouble=15.0),
    Kind("pods", "training", {}, actions=(1, 5), bad_pods=1.0, longest=30.0),
    Kind("servers", "serving", {"server_silent": 0.25}, actions=(2, 6), bad_servers=1.0),
    Kind("user", "training", {}, actions=(4, 9)),
    Kind("owner", "serving", {}, actions=(4, 9)),
    Kind("kserve", "serving", {}, ("kserve_goes", "kserve_sleeps"), actions=(2, 5), kserve=True),
)  # fmt: skip
ALL_TROUBLES = (
    "store_outage",
    "restart",
    "two_operators",
    "watch_replay",
    "watch_gone",
    "cut_off",
    "clock_jump",
    "kserve_goes",
    "kserve_sleeps",
    "upgrade",
)


UPGRADED = 9
"""One life in so many, but no calm one, has upgrades beside its other troubles."""


def kind_of(seed: int) -> Kind:
    """One scenario in 20 is calm, two in 20 are long and have everything, the others are short; half have KServe."""
    kind = _kind(seed)
    if seed % UPGRADED == 4 and kind.name != "calm" and "upgrade" not in kind.troubles:
        kind = replace(kind, troubles=(*kind.troubles, "upgrade"))
    if kind.kserve or seed // 20 % 2 == 1:
        return replace(kind, kserve=True)
    return replace(kind, troubles=tuple(name for name in kind.troubles if not name.startswith("kserve")))


def _kind(seed: int) -> Kind:
    if seed % 20 == 0:
        return Kind("calm", THEMES[seed // 20 % 3], {}, actions=(0, 1), more=0.6, bad_pods=0.0, bad_servers=0.0)
    if seed % 20 in (1, 11):
        return _long(seed)
    return SHORT[seed % len(SHORT)]


def _long(seed: int) -> Kind:
    """Every rate is off, low or high, as the seed has it."""
    levels = {
        "refused": (0.0, 0.02, 0.1), "unanswered": (0.0, 0.02, 0.1), "late_write": (0.0, 0.01), "crash": (0.0, 0.01),
        "lost_event": (0.0, 0.01, 0.1), "repeated_event": (0.0, 0.1), "late_event": (0.0, 0.05, 0.2),
        "store_flaky": (0.0, 0.05, 0.2), "late_fact": (0.0, 0.05), "wrong_fact": (0.0, 0.0, 0.02),
        "server_silent": (0.0, 0.05, 0.2),
    }  # fmt: skip
    turn = seed // 10
    faults = {name: at[(turn * (index + 3) + turn // 7) % len(at)] for index, (name, at) in enumerate(levels.items())}
    theme = THEMES[turn % 3]
    most = {"training": (2, 10), "serving": (4, 16), "all": (2, 12)}[theme]
    serving = theme == "serving"
    return Kind(
        "long", theme, faults, ALL_TROUBLES, most, more=0.6, bad_pods=0.2 if serving else 1.0, bad_servers=1.0,
        longest=8.0 if serving else 60.0, with_lease=turn % 2 == 0, mean_trouble=60.0,
    )  # fmt: skip
