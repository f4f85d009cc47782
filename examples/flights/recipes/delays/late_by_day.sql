-- The share of late flights for each airport and day.
select
    origin,
    make_date(year, month, day) as day,
    count(*) as n_flights,
    round(count(*) filter (where arr_delay > $late_minutes) / count(*), 4) as share_late
from flights
group by origin, year, month, day
