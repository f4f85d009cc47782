"""Time becomes work: cron, data intervals, what is due, late, missing. Knows no clock and no git."""
