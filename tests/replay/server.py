"""The replay server ships with the package; tests know it by this name too."""

from mech_exo.datasource.replay.server import Answer, Asked, Replay, data, in_turn, page, recorded, replaying

__all__ = ["Answer", "Asked", "Replay", "data", "in_turn", "page", "recorded", "replaying"]
