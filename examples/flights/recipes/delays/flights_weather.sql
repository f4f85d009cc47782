-- Each flight with the weather at its origin in the hour of its planned departure.
-- A flight without a report of the weather stays: there are as many rows as flights.
select
    flights.time_hour,
    flights.origin,
    flights.dest,
    flights.carrier,
    flights.flight,
    flights.dep_delay,
    flights.arr_delay,
    weather.temp,
    weather.wind_speed,
    weather.precip,
    weather.visib
from flights
left join weather
    on weather.origin = flights.origin
    and weather.year = flights.year
    and weather.month = flights.month
    and weather.day = flights.day
    and weather.hour = flights.hour
