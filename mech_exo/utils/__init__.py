"""Calendar, configuration, logging, retries and parallel maps: what every room may use."""
