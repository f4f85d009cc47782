-- Delays by airport and kind of weather (temperature in °F, wind in miles an hour, visibility in miles).
with flights_under as (
    select
        *,
        case
            when temp is null then 'unknown'
            when precip > 0 and temp <= 34 then 'snow'
            when precip > 0 then 'rain'
            when visib < 3 then 'fog'
            when wind_speed >= 25 then 'wind'
            else 'fair'
        end as conditions
    from flights_weather
)
select
    origin,
    conditions,
    count(*) as n_flights,
    round(avg(dep_delay), 2) as mean_dep_delay,
    round(count(*) filter (where arr_delay > $late_minutes) / count(arr_delay), 4) as share_late
from flights_under
group by origin, conditions
