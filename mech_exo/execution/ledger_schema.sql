-- The journal is the truth: rows are only ever appended, each chained to the one before by its hash.
CREATE TABLE journal (
    seq INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    body TEXT NOT NULL,
    prev_hash TEXT NOT NULL,
    hash TEXT NOT NULL
) STRICT;
CREATE INDEX journal_by_key ON journal (kind, key);
CREATE TRIGGER journal_keeps_rows BEFORE DELETE ON journal BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER journal_keeps_text BEFORE UPDATE ON journal BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;

-- Everything below is derived from the journal, written in the same transaction, and compared by `exo ledger verify`.
CREATE TABLE decisions (
    account TEXT, strategy TEXT, session TEXT, seq INTEGER NOT NULL,
    PRIMARY KEY (account, strategy, session)
) STRICT, WITHOUT ROWID;

CREATE TABLE plans (
    account TEXT, strategy TEXT, session TEXT, seq INTEGER NOT NULL,
    PRIMARY KEY (account, strategy, session)
) STRICT, WITHOUT ROWID;

CREATE TABLE orders (
    id TEXT PRIMARY KEY, account TEXT NOT NULL, strategy TEXT NOT NULL, decided TEXT NOT NULL, session TEXT NOT NULL,
    symbol TEXT NOT NULL, shares INTEGER NOT NULL, price REAL, reason TEXT NOT NULL, type TEXT NOT NULL,
    stop_level REAL, target_level REAL, state TEXT NOT NULL, note TEXT NOT NULL, broker_id TEXT,
    sends INTEGER NOT NULL DEFAULT 0, filled INTEGER NOT NULL DEFAULT 0,
    level REAL, rests INTEGER NOT NULL DEFAULT 0, oca TEXT, parent TEXT, after TEXT
) STRICT;
CREATE INDEX orders_by_session ON orders (account, strategy, session);
CREATE INDEX orders_by_state ON orders (state) WHERE state IN ('new', 'sending', 'live', 'unknown');

CREATE TABLE fills (
    id TEXT PRIMARY KEY, account TEXT NOT NULL, strategy TEXT NOT NULL, order_id TEXT NOT NULL, symbol TEXT NOT NULL,
    shares INTEGER NOT NULL, price REAL NOT NULL, commission REAL, session TEXT NOT NULL, time TEXT NOT NULL,
    reason TEXT NOT NULL, reference REAL, seq INTEGER NOT NULL, revision INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX fills_by_session ON fills (account, strategy, session);

CREATE TABLE sessions (
    account TEXT, strategy TEXT, session TEXT, seq INTEGER NOT NULL,
    nav REAL, "index" REAL, cash REAL, long_value REAL, short_value REAL, flow REAL, price_pnl REAL, dividends REAL,
    interest REAL, borrow REAL, commission REAL, slippage REAL, traded REAL, state TEXT NOT NULL,
    scale REAL, wins REAL, losses REAL, gains REAL, forfeits REAL,
    PRIMARY KEY (account, strategy, session)
) STRICT, WITHOUT ROWID;

CREATE TABLE flows (
    id TEXT PRIMARY KEY, account TEXT NOT NULL, strategy TEXT NOT NULL, session TEXT NOT NULL,
    amount REAL NOT NULL, note TEXT NOT NULL
) STRICT;

CREATE TABLE trials (
    run_id TEXT PRIMARY KEY, kind TEXT NOT NULL, config_hash TEXT NOT NULL, seq INTEGER NOT NULL
) STRICT;

CREATE TABLE halts (
    seq INTEGER PRIMARY KEY, halted INTEGER NOT NULL, reason TEXT NOT NULL, at TEXT NOT NULL
) STRICT;

CREATE TABLE alerts (
    id TEXT PRIMARY KEY, severity TEXT NOT NULL, title TEXT NOT NULL, text TEXT NOT NULL, seq INTEGER NOT NULL
) STRICT;

-- Of journals written before deliveries had a record of their own (data/deliveries.sqlite).
CREATE TABLE deliveries (
    id TEXT, channel TEXT, seq INTEGER NOT NULL,
    PRIMARY KEY (id, channel)
) STRICT, WITHOUT ROWID;

CREATE TABLE unseen (
    seq INTEGER PRIMARY KEY, order_id TEXT NOT NULL, at TEXT NOT NULL, held INTEGER NOT NULL
) STRICT;
CREATE INDEX unseen_by_order ON unseen (order_id);

CREATE TABLE adjustments (
    id TEXT PRIMARY KEY, account TEXT NOT NULL, strategy TEXT NOT NULL, symbol TEXT,
    shares INTEGER NOT NULL, price REAL, cash REAL NOT NULL, reason TEXT NOT NULL, at TEXT NOT NULL, seq INTEGER NOT NULL
) STRICT;

CREATE TABLE instruments (
    account TEXT, strategy TEXT, symbol TEXT, key TEXT NOT NULL,
    PRIMARY KEY (account, strategy, symbol)
) STRICT, WITHOUT ROWID;
