-- Boundaries of periods in the customer's zone, proration, names of intervals.
\set VERBOSITY terse
SET timezone = 'UTC';
SET datestyle = 'ISO';
-- from the anchor, never from the boundary before
SELECT n, qzpay.period_boundary('2026-01-31 10:00+00', 'month', 1, n) FROM generate_series(-2, 4) n;
SELECT qzpay.period_boundary('2024-02-29 00:00+00', 'year', 1, n) FROM generate_series(0, 4) n;
SELECT qzpay.period_boundary('2024-02-29 00:00+00', 'month', 3, 4), qzpay.period_boundary('2026-01-19 09:00+00', 'week', 2, 3), qzpay.period_boundary('2026-01-19 09:00+00', 'day', 1000, 1);
-- civil time of the zone: the wall clock stays, the instant moves with the offset
SELECT qzpay.period_boundary('2026-01-15 12:00+00', 'month', 1, n, 'America/New_York') FROM generate_series(1, 3) n;
-- the hour that is skipped (2026-03-08 02:30) and the one that is repeated (2026-11-01 01:30), as PostgreSQL has them
SELECT qzpay.period_boundary('2026-02-08 07:30+00', 'month', 1, 1, 'America/New_York'), '2026-03-08 02:30'::timestamp AT TIME ZONE 'America/New_York' AS servers;
SELECT qzpay.period_boundary('2026-10-01 05:30+00', 'month', 1, 1, 'America/New_York'), '2026-11-01 01:30'::timestamp AT TIME ZONE 'America/New_York' AS servers;
-- the anchor itself may be either of a repeated hour
SELECT qzpay.period_boundary('2026-11-01 05:30+00', 'month', 1, 0, 'America/New_York'), qzpay.period_boundary('2026-11-01 06:30+00', 'month', 1, 0, 'America/New_York');
-- a day that a zone skipped altogether
SELECT qzpay.period_boundary('2011-12-29 22:00+00', 'day', 1, 1, 'Pacific/Apia'), qzpay.period_boundary('2011-11-30 22:00+00', 'month', 1, 1, 'Pacific/Apia');
-- the same as the server's interval arithmetic, for every unit, many anchors and zones
SELECT count(*) AS compared, count(*) FILTER (WHERE ours IS DISTINCT FROM servers) AS different FROM (
    SELECT qzpay.period_boundary(a, u, c, n, z) AS ours, ((a AT TIME ZONE z) + n * (c || ' ' || u)::interval) AT TIME ZONE z AS servers
    FROM generate_series('2023-12-25 00:17:03.000001+00'::timestamptz, '2026-12-31', '29 days 7 hours') a, unnest('{day,week,month,year}'::text[]) u,
         unnest('{1,3}'::int[]) c, unnest('{-7,1,2,13}'::int[]) n, unnest('{UTC,America/Argentina/Buenos_Aires,Europe/Madrid,Australia/Lord_Howe,Asia/Kathmandu}'::text[]) z
    OFFSET 0) v;
SELECT qzpay.period_boundary('infinity', 'month', 1, 1);
SELECT qzpay.period_boundary('-infinity', 'month', 1, 1);
SELECT qzpay.period_boundary('2026-01-01 00:00+00', 'month', 1000, 2147483647);
SELECT qzpay.period_boundary('2026-01-01 00:00+00', 'year', 1000, 300);
SELECT qzpay.period_boundary('2026-01-01 00:00+00', 'year', 1000, -300);
SELECT qzpay.period_boundary('2026-01-01 00:00+00', 'fortnight', 1, 1);
SELECT qzpay.period_boundary('2026-01-01 00:00+00', 'month', 0, 1);
SELECT qzpay.period_boundary('2026-01-01 00:00+00', 'month', 1001, 1);
SELECT qzpay.period_boundary('2026-01-01 00:00+00', 'month', -1, 1);
SELECT qzpay.period_boundary('2026-01-01 00:00+00', 'month', 1, 1, 'Mars/Olympus');
SELECT qzpay.period_boundary('2026-01-01 00:00+00', 'month', 1, 1, '');
SELECT qzpay.period_boundary('2026-01-01 00:00+00', 'month', 1, 1, repeat('x', 1000)) IS NULL;
SELECT qzpay.period_boundary('2026-01-01 00:00+00', 'month', 1, NULL) IS NULL AS strict;

-- What is left
SELECT qzpay.prorate(2900, '[2026-01-19 09:00+00,2026-02-19 09:00+00)', '2026-02-02 09:00+00') AS credit,
       9900 - qzpay.prorate(9900, '[2026-01-19 09:00+00,2026-02-19 09:00+00)', '2026-02-05 09:00+00') AS debit;
SELECT qzpay.prorate(100, '[2026-01-01 00:00+00,2026-01-02 00:00+00)', at) FROM unnest('{2025-12-31 00:00+00,2026-01-01 00:00+00,2026-01-01 00:00:00.000001+00,
    2026-01-01 12:00+00,2026-01-01 23:59:59.999999+00,2026-01-02 00:00+00,2027-01-01 00:00+00,infinity,-infinity}'::timestamptz[]) at;
SELECT qzpay.prorate(-2900, '[2026-01-19 09:00+00,2026-02-19 09:00+00)', '2026-02-02 09:00+00'), qzpay.prorate(9223372036854775807, '[2026-01-01 00:00+00,2026-01-04 00:00+00)', '2026-01-02 00:00+00'),
       qzpay.prorate(-9223372036854775808, '[2026-01-01 00:00+00,2026-01-04 00:00+00)', '2026-01-02 00:00+00');
-- by day: the day of the change is unused, days of 23 or 25 hours count one
SELECT qzpay.prorate(3100, '[2026-03-01 05:00+00,2026-04-01 04:00+00)', at, 'day', 'America/New_York')
FROM unnest('{2026-03-01 05:00+00,2026-03-02 04:59:59+00,2026-03-02 05:00+00,2026-03-09 03:59+00,2026-03-09 04:00+00,2026-04-01 03:59+00}'::timestamptz[]) at;
SELECT qzpay.prorate(100, '[2026-01-01 01:00+00,2026-01-01 23:00+00)', '2026-01-01 22:00+00', 'day');
SELECT qzpay.prorate(100, 'empty', '2026-01-01 00:00+00');
SELECT qzpay.prorate(100, '[2026-01-01,)', '2026-01-01 00:00+00');
SELECT qzpay.prorate(100, '(,2026-01-01)', '2026-01-01 00:00+00');
SELECT qzpay.prorate(100, '[2026-01-01,infinity)', '2026-01-01 00:00+00');
SELECT qzpay.prorate(100, '[2026-01-01,2026-01-01]', '2026-01-01 00:00+00');
SELECT qzpay.prorate(100, '[2026-01-01,2026-02-01)', '2026-01-01 00:00+00', 'hour');
SELECT qzpay.prorate(100, '[2026-01-01,2026-02-01)', '2026-01-01 00:00+00', 'day', 'Mars/Olympus');
SELECT qzpay.prorate(100, NULL, '2026-01-01 00:00+00') IS NULL AS strict;

-- Names of intervals
SELECT name, (qzpay.interval_parse(name)).* FROM unnest('{month,monthly,mensual,mes,year,yearly,annual,anual,año,week,weekly,semanal,semana,day,daily,diario,dia,quarter,quarterly,trimestral,
    Month,MONTHLY,3 months,2 quarter,10 day,1000 days}'::text[]) name;
SELECT qzpay.interval_parse('');
SELECT qzpay.interval_parse('fortnight');
SELECT qzpay.interval_parse('0 months');
SELECT qzpay.interval_parse('-1 month');
SELECT qzpay.interval_parse('1001 days');
SELECT qzpay.interval_parse('334 quarter');
SELECT qzpay.interval_parse('99999999999999999999 days');
SELECT qzpay.interval_parse('1.5 months');
SELECT qzpay.interval_parse(NULL) IS NULL AS strict;
