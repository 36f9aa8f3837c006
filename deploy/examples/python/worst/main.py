"""Puts the counts of all parts together and names the hour with the longest mean delay."""
import json
import pathlib


def main():
    hours = {}
    for path in sorted(pathlib.Path('/in/counts').iterdir()):
        record = json.loads(path.read_text(encoding='utf-8'))
        for hour, counted in record['result'].items():
            total = hours.setdefault(hour, {'flights': 0, 'minutes': 0})
            for name, number in counted.items():
                total[name] += number
    means = {hour: total['minutes'] / total['flights'] for hour, total in hours.items()}
    worst = max(means, key=means.get)
    flights = sum(total['flights'] for total in hours.values())
    return {'flights': flights, 'worst_hour': int(worst), 'mean_delay': round(means[worst], 1)}
