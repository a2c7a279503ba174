"""A local server that answers like the vendors: for trying the whole pipeline offline, and for the tests."""
