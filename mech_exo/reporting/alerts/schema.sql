-- What became of every alert, channel by channel. Written by the delivery process alone. Instants are Unix seconds, UTC.
CREATE TABLE alerts (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, severity TEXT NOT NULL, title TEXT NOT NULL, text TEXT NOT NULL,
    at REAL NOT NULL, words TEXT NOT NULL, alone INTEGER NOT NULL
) STRICT;
CREATE INDEX alerts_by_words ON alerts (words);

CREATE TABLE deliveries (
    alert INTEGER NOT NULL, channel TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, since REAL NOT NULL,
    due REAL NOT NULL, held INTEGER NOT NULL DEFAULT 0, doubt INTEGER NOT NULL DEFAULT 0, message INTEGER, ended REAL,
    PRIMARY KEY (alert, channel)
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_open ON deliveries (channel, due) WHERE state IN ('waiting', 'sending');

CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT, channel TEXT NOT NULL, hash TEXT NOT NULL, alerts INTEGER NOT NULL, began REAL NOT NULL,
    ended REAL, outcome TEXT, said TEXT
) STRICT;
CREATE INDEX messages_by_channel ON messages (channel, began);

CREATE TABLE channels (
    name TEXT PRIMARY KEY, failures INTEGER NOT NULL, rests_until REAL NOT NULL, failing_since REAL, last_success REAL, said TEXT NOT NULL
) STRICT;

CREATE TABLE alarms (name TEXT PRIMARY KEY, id TEXT NOT NULL, since REAL NOT NULL, text TEXT NOT NULL) STRICT;

CREATE TABLE commands (
    update_id INTEGER PRIMARY KEY, chat INTEGER NOT NULL, text TEXT NOT NULL, at REAL NOT NULL, answer TEXT, answered REAL
) STRICT;

CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
