"""Time becomes work: cron and time zones, data intervals, what is due, late, missing. Knows no clock and no git."""
