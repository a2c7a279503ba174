"""What vulture cannot see being used, by the reason why it is alive. Names, not places; each must still be needed (tested)."""

from __future__ import annotations

ALIVE: dict[str, tuple[str, ...]] = {
    "Python asks a module for what it lacks, and what it has": ("__getattr__", "__dir__"),
    "click and rich read or call it": ("format_commands", "process_value", "rich_markup_mode", "justify", "no_wrap", "overflow", "max_width"),
    "the library of Interactive Brokers reads or calls it": (
        "MaxRequests", "error_event", "parentId", "transmit", "ocaGroup", "ocaType", "goodAfterTime", "defaultTimezone", "TimezoneTWS",
        "connectAck", "setEventsDone", "connectionClosed", "updatePortfolio", "openOrder", "openOrderEnd", "orderStatus", "completedOrder",
        "completedOrdersEnd", "execDetails", "execDetailsEnd", "commissionReport", "positionEnd", "accountSummary", "accountSummaryEnd",
        "bondContractDetails", "contractDetailsEnd", "currentTime", "ignored",
    ),
    "logging reads it": ("levelname", "writelines"),
    "http.server, socketserver and werkzeug read or call it": (
        "daemon_threads", "protocol_version", "close_connection", "log_message", "do_CONNECT", "do_GET", "do_POST", "direct_passthrough",
    ),
    "apprise reads it": (
        "request_rate_per_sec", "socket_connect_timeout", "socket_read_timeout", "redirects", "overflow_mode", "notify_format",
    ),
    "PyYAML and pydantic read or call it": ("yaml_implicit_resolvers", "construct_mapping", "deep", "model_config"),
    "the with statement hands it over": ("trace",),
    "it makes docs/daily-report.schema.json": ("daily_schema",),
    "a figure of a value that is whole, or what a person asks for at a prompt; the tests do": (
        "clean", "plot_windows", "shrunk_covariance", "intercept", "average_cost", "up_sessions", "down_sessions",
        "spa_lower", "spa_upper", "probability_of_loss",
    ),
    "mkdocs calls it": ("on_files", "on_page_content", "on_page_markdown"),
}  # fmt: skip

CALLED_BY_DECORATORS = (
    "@*.command*", "@*.callback*", "@*.errorhandler*", "@field_validator*", "@model_validator*", "@field_serializer*", "@model_serializer*",
)  # fmt: skip
