"""How a service is, for people and for those who ask whether to call it."""

from typing import Any

from bcr_runtime.places import own_version
from bcr_service.gateway import Gateway

SLOTS = "slots"


def status_of(gateway: Gateway) -> dict[str, Any]:
    """What `/admin/status` tells, as plain data. The chain's modes and slots are what replicas last said, at most seconds ago."""
    return {
        "protocol": "chain",
        "version": own_version(),
        "object": gateway.settings.object_name,
        "durable": gateway.settings.durable,
        "uptime_s": round(gateway.uptime_s(), 1),
        "gateway": gateway.own.number,
        "waiting": gateway.desk.waiting(),
        "outstanding": gateway.desk.outstanding(),
        "operations": gateway.desk.operations,
        "requests": gateway.desk.requests,
        "laboratory": gateway.own.is_lab,
        **gateway.status,
    }


def as_text(status: dict[str, Any]) -> str:
    """The same for people."""
    lines = [
        f"protocol       {status['protocol']}, t = {status.get('t', '?')}, object {status['object']}, {'on disk' if status['durable'] else 'in memory only'}",
        f"configuration  {status.get('configuration', 'none yet')}",
    ]
    for replica in status.get("chain", []):
        name = f"replica_{replica['position']}"
        room = "" if replica.get("has_room", True) else ", no room on its disk"
        lines.append(f"{name:<15}{replica['role']:<7}{replica['mode']:<10}{replica[SLOTS]} slots, {replica['in_flight']} in flight{room}")
    for host in status.get("hosts", []):
        has = "no replica" if host["replica"] is None else f"replica_{host['replica']}"
        lines.append(f"{'host ' + host['host']:<22}{'there' if host['present'] else 'away':<10}{has}")
    lines += [
        f"gateways       {', '.join(status.get('gateways', []))}",
        f"waiting        {status['waiting']} operations; {status['outstanding']} requests under way",
        f"uptime         {status['uptime_s']} s",
        f"olympus key    {status.get('olympus_key', '')}",
    ]
    return "\n".join(lines) + "\n"


def is_ready(gateway: Gateway) -> tuple[bool, str]:
    """Whether callers are likely to be answered, and why, or why not."""
    if gateway.configuration is None:
        return False, "there is no configuration yet"
    if gateway.desk.is_closed:
        return False, "the service is going down"
    number = gateway.configuration.statement.number
    overdue_s = gateway.desk.oldest_s()
    if overdue_s > 2 * gateway.settings.client_timeout_ms / 1000:
        return False, f"a request to configuration {number} has had no answer for {overdue_s:.1f} s"
    return True, f"configuration {number}"
