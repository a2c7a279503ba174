-- The market-data store. Each numbered migration runs once, in order, in one transaction; never edit one that was released.
-- Two clocks stand on every fact: known_at, when the world could know it, and recorded_at, when it was stored. version 0 is the first
-- seen value, whose known_at follows a rule; a later, different value is a new row with the next version, known when first seen.
-- Instants are UTC. Prices are USD per share. A date of 1900-01-01 in valid_from or start means "always" (the source gave no date).
-- No primary keys: they make bulk writes six times slower; the writer joins against what is stored instead.

-- migration 1
create table bars (
    symbol varchar not null, session date not null,
    open double not null, high double not null, low double not null, close double not null, volume double not null,
    known_at timestamptz not null, recorded_at timestamptz not null, source varchar not null, version integer not null
);
create table corporate_actions (
    symbol varchar not null, session date not null, kind varchar not null check (kind in ('split', 'dividend', 'delisting')),
    value double,
    known_at timestamptz not null, recorded_at timestamptz not null, source varchar not null, version integer not null
);
create table sectors (
    symbol varchar not null, valid_from date not null, sector varchar not null,
    known_at timestamptz not null, recorded_at timestamptz not null, backfilled boolean not null, version integer not null
);
create table universe (
    name varchar not null, symbol varchar not null, start date not null, "end" date,
    known_at timestamptz not null, recorded_at timestamptz not null, version integer not null
);
create table benchmarks (
    name varchar not null, session date not null, "return" double not null,
    known_at timestamptz not null, recorded_at timestamptz not null, version integer not null
);
create table fundamental_data (
    symbol varchar not null, metric varchar not null, period_end date not null, fiscal_period varchar not null, filed date not null,
    value double not null, unit varchar not null,
    known_at timestamptz not null, recorded_at timestamptz not null, source varchar not null, version integer not null
);
create table news_data (
    id varchar not null, symbol varchar not null,
    headline varchar not null, source varchar not null, url varchar, published timestamptz not null,
    sentiment double, sentiment_version varchar,
    known_at timestamptz not null, recorded_at timestamptz not null, version integer not null
);
create table data_quality (
    symbol varchar not null, session date not null, "check" varchar not null, value double not null, "limit" double not null,
    known_at timestamptz not null, recorded_at timestamptz not null, source varchar not null
);
create table quarantine (
    "row" varchar not null, reason varchar not null, file varchar not null, recorded_at timestamptz not null
);
create table meta (key varchar not null, value varchar not null, recorded_at timestamptz not null);

-- The bars as they are known now, with figures for a person's eye. returns: close-to-close, splits undone, without dividends.
-- volatility: standard deviation of the last 20 returns, per day. atr: mean of the last 14 true ranges, USD. Null until the window is full.
create view ohlc_data as
with latest as (
    select b.* from bars b left join (select symbol, session, max(version) as top from bars where version > 0 group by all) r using (symbol, session)
    where b.version = coalesce(r.top, 0)
),
splits as (
    select symbol, session, arg_max(value, version) as ratio from corporate_actions where kind = 'split' group by all
),
chained as (
    select l.*, coalesce(s.ratio, 1.0) as ratio, lag(l.close) over (partition by l.symbol order by l.session) / coalesce(s.ratio, 1.0) as before
    from latest l left join splits s using (symbol, session)
),
measured as (
    select *, close / before - 1.0 as move, greatest(high, coalesce(before, high)) - least(low, coalesce(before, low)) as span from chained
)
select
    symbol, session as date, open, high, low, close, volume,
    move as returns,
    case when count(move) over last20 = 20 then stddev_samp(move) over last20 end as volatility,
    case when count(before) over last14 = 14 then avg(span) over last14 end as atr,
    source, known_at, recorded_at
from measured
window
    last20 as (partition by symbol order by session rows between 19 preceding and current row),
    last14 as (partition by symbol order by session rows between 13 preceding and current row);

-- migration 2
-- What was asked of whom, and what came of it: a symbol's last good data are known to be stale, and a broken-off update knows where it was.
create table downloads (
    kind varchar not null, source varchar not null, symbol varchar not null, status varchar not null, "rows" bigint not null,
    detail varchar not null, asked_at timestamptz not null
);

-- migration 3
-- A verdict holds from its session on for `lasts` sessions (null: a state, no end) or until the next row of the same symbol and check if
-- that is a state, whichever comes first. A null verdict takes the finding back. The flags of migration 1 are found anew by the gate.
drop table data_quality;
create table data_quality (
    symbol varchar not null, session date not null, "check" varchar not null,
    verdict varchar check (verdict in ('ok', 'warn', 'block')), value double, "limit" double, evidence varchar not null, lasts integer,
    known_at timestamptz not null, recorded_at timestamptz not null, version integer not null
);
create table quality_notes (
    symbol varchar not null, session date not null, "check" varchar not null, because varchar not null,
    known_at timestamptz not null, recorded_at timestamptz not null, version integer not null
);
