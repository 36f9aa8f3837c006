"""Counts every fourth flight by the hour of its departure."""
import json
import os


def main():
    index, count = int(os.environ['PODMESH_INDEX']), int(os.environ['PODMESH_COUNT'])
    with open('/in/flights', encoding='utf-8') as file:
        flights = json.load(file)[index::count]
    hours = {}
    for flight in flights:
        hour = hours.setdefault(int(flight['time']), {'flights': 0, 'minutes': 0})
        hour['flights'] += 1
        hour['minutes'] += flight['delay']
    # What is printed is the log; the result is what main() returns.
    print(os.environ['JOB_ID'], 'counted', len(flights), 'flights')
    return hours
