-- How often each airline arrived late, and by how much.
select
    flights.carrier,
    airlines.name,
    count(*) as n_flights,
    count(*) filter (where arr_delay is null) as n_not_arrived,
    round(avg(arr_delay), 2) as mean_arr_delay,
    round(count(*) filter (where arr_delay > $late_minutes) / count(arr_delay), 4) as share_late
from flights
join airlines using (carrier)
group by flights.carrier, airlines.name
order by share_late desc
