"""How a service is, for people and for those who ask whether to call it."""

from typing import Any

from bcr_runtime.places import own_version
from bcr_service.gateway import GatewayState


def status_of(gateway: GatewayState) -> dict[str, Any]:
    """What `/admin/status` tells, as plain data. Modes and indices are what replicas or servers last said, at most seconds ago."""
    return {
        "protocol": gateway.view.name,
        "proofs": not gateway.view.why_no_proofs,
        "version": own_version(),
        "object": gateway.settings.object_name,
        "durable": gateway.settings.durable,
        "uptime_s": round(gateway.uptime_s(), 1),
        "gateway": gateway.own.number,
        "waiting": gateway.desk.waiting(),
        "outstanding": gateway.desk.outstanding(),
        "operations": gateway.desk.operations,
        "requests": gateway.desk.requests,
        "answers": gateway.desk.answers,
        "samples": gateway.desk.samples(),
        "laboratory": gateway.own.is_lab,
        "ready": is_ready(gateway)[0],
        **gateway.status,
    }


def as_text(gateway: GatewayState) -> str:
    """The same for people."""
    status = status_of(gateway)
    lines = [
        f"protocol       {status['protocol']}, t = {status.get('t', '?')}, object {status['object']}, {'on disk' if status['durable'] else 'in memory only'}",
        *gateway.view.lines(status),
        f"gateways       {', '.join(status.get('gateways', []))}",
        f"waiting        {status['waiting']} operations; {status['outstanding']} requests under way",
        f"uptime         {status['uptime_s']} s",
    ]
    if "olympus_key" in status or gateway.view.has_configurations:
        lines.append(f"olympus key    {status.get('olympus_key', '')}")
    return "\n".join(lines) + "\n"


def is_ready(gateway: GatewayState) -> tuple[bool, str]:
    """Whether callers are likely to be answered, and why, or why not."""
    if gateway.desk.is_closed:
        return False, "the service is going down"
    return gateway.view.is_ready(gateway)
