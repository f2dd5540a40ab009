"""The node's network: a bridge that carries its address, and a cleanup that touches only our own names."""

import json
import re
import shlex
from pathlib import Path

from dev.localcluster.layout import NODE_ADDRESS, NODE_BRIDGE, POD_BRIDGE, POD_RANGE, state
from dev.localcluster.shell import attempt, run

_TABLES = ("nat", "filter", "mangle")
_OUR_CHAIN = re.compile(r"^(KUBE|CNI)-")
_BRIDGED_THROUGH_IPTABLES = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")


def ensure_network() -> None:
    """Bring up the node's bridge and write the pod network's configuration."""
    if not Path("/sys/class/net", NODE_BRIDGE).exists():
        run(["ip", "link", "add", NODE_BRIDGE, "type", "bridge"])
    run(["ip", "address", "replace", f"{NODE_ADDRESS}/32", "dev", NODE_BRIDGE])
    run(["ip", "link", "set", NODE_BRIDGE, "up"])
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    folder = state("config", "cni")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "10-pods.conflist").write_text(json.dumps(_pod_network(), indent=1))


def traffic_on_bridge_is_translated() -> bool:
    """Whether iptables sees traffic between pods; if not, kube-proxy must masquerade all of it."""
    file = _BRIDGED_THROUGH_IPTABLES
    attempt(["modprobe", "br_netfilter"])
    if file.exists() and file.read_text().strip() != "1":
        file.write_text("1")
    return file.exists()


def remove_network() -> None:
    """Remove the bridges and the rules of kube-proxy and the network plugins."""
    for bridge in (NODE_BRIDGE, POD_BRIDGE):
        if Path("/sys/class/net", bridge).exists():
            run(["ip", "link", "delete", bridge])
    for family in ("iptables", "ip6tables"):
        for table in _TABLES:
            _remove_rules(family, table)


def _remove_rules(family: str, table: str) -> None:
    """Delete rules that jump to our chains, then the chains, in one transaction."""
    try:
        saved = run([f"{family}-save", "-t", table]).splitlines()
    except (FileNotFoundError, RuntimeError):
        return
    chains = [line[1:].split()[0] for line in saved if line.startswith(":")]
    ours = [chain for chain in chains if _OUR_CHAIN.match(chain)]
    if not ours:
        return
    jumps = [line for line in saved if line.startswith("-A") and _jumps_into_ours(line)]
    removals = [f"-D{line[2:]}" for line in jumps]
    script = [f"*{table}", *removals, *(f"-F {chain}" for chain in ours), *(f"-X {chain}" for chain in ours)]
    run([f"{family}-restore", "--noflush"], stdin="\n".join([*script, "COMMIT", ""]))


def _jumps_into_ours(rule: str) -> bool:
    words = shlex.split(rule)
    target = words[words.index("-j") + 1] if "-j" in words else ""
    return bool(_OUR_CHAIN.match(target)) and not _OUR_CHAIN.match(words[1])


def _pod_network() -> dict[str, object]:
    addresses = {
        "type": "host-local",
        "ranges": [[{"subnet": POD_RANGE}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": str(state("run", "cni")),
    }
    bridge = {
        "type": "bridge",
        "bridge": POD_BRIDGE,
        "isGateway": True,
        "ipMasq": True,
        "hairpinMode": True,
        "ipam": addresses,
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge, ports]}
