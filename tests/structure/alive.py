"""What vulture cannot see being used, by the reason why it is alive. Names, not places; each must still be needed (tested)."""

from __future__ import annotations

ALIVE: dict[str, tuple[str, ...]] = {
    "Python asks a module for what it lacks, and what it has": ("__getattr__", "__dir__"),
    "click and rich read it": ("format_commands", "rich_markup_mode", "justify", "no_wrap", "overflow", "max_width"),
    "the library of Interactive Brokers reads or calls it": (
        "MaxRequests", "error_event", "parentId", "transmit", "ocaGroup", "ocaType", "goodAfterTime", "defaultTimezone", "TimezoneTWS", "ib",
        "connectAck", "setEventsDone", "connectionClosed", "updatePortfolio", "openOrder", "openOrderEnd", "orderStatus", "completedOrder",
        "completedOrdersEnd", "execDetails", "execDetailsEnd", "commissionReport", "positionEnd", "accountSummary", "accountSummaryEnd",
        "bondContractDetails", "contractDetailsEnd", "currentTime",
    ),
    "logging reads it": ("msg", "levelname", "writelines"),
    "http.server, socketserver and werkzeug read or call it": (
        "daemon_threads", "protocol_version", "close_connection", "log_message", "do_CONNECT", "do_GET", "do_POST", "direct_passthrough",
    ),
    "apprise reads it": (
        "request_rate_per_sec", "socket_connect_timeout", "socket_read_timeout", "redirects", "overflow_mode", "notify_format",
    ),
    "PyYAML and pydantic read or call it": ("yaml_implicit_resolvers", "construct_mapping", "deep", "model_config"),
    "mkdocs calls it": ("on_files", "on_page_markdown"),
}  # fmt: skip
